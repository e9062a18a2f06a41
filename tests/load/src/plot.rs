//! Latency and memory over time as an SVG.

use std::path::Path;

use plotters::coord::ranged1d::ValueFormatter;
use plotters::coord::types::RangedCoordf64;
use plotters::prelude::*;

use crate::Failure;
use crate::record::{Second, Summary};

type Points = Vec<(f64, f64)>;
type Line<'a> = (&'a str, RGBColor, Points);

const P50: RGBColor = RGBColor(0, 114, 178);
const P99: RGBColor = RGBColor(213, 94, 0);
const MAX: RGBColor = RGBColor(150, 150, 150);

pub(crate) fn draw(path: &Path, summary: &Summary) -> Result<(), Failure> {
    let root = SVGBackend::new(path, (1_000, 700)).into_drawing_area();
    root.fill(&WHITE)?;
    let halves = root.split_evenly((2, 1));
    let milliseconds = |of: fn(&Second) -> u64| points(summary, |second| Some(of(second)), 1e3);
    let memory = |service: usize| points(summary, |second| second.resident[service], 1_024.0);
    chart(
        &halves[0],
        "Latency of public-data (ms, logarithmic)",
        [
            ("longest", MAX, milliseconds(|second| second.max)),
            ("p99", P99, milliseconds(|second| second.p99)),
            ("p50", P50, milliseconds(|second| second.p50)),
        ],
        true,
    )?;
    chart(
        &halves[1],
        "Resident memory (MiB)",
        [
            ("public-data", P50, memory(0)),
            ("protected-data", P99, memory(1)),
        ],
        false,
    )?;
    root.present()?;
    Ok(())
}

fn points(summary: &Summary, of: impl Fn(&Second) -> Option<u64>, scale: f64) -> Points {
    let seconds = summary.seconds.iter().enumerate();
    seconds
        .filter_map(|(n, second)| {
            let value = f64::from(u32::try_from(of(second)?).ok()?) / scale;
            Some((f64::from(u32::try_from(n).ok()?), value))
        })
        .collect()
}

fn chart<const N: usize>(
    area: &DrawingArea<SVGBackend<'_>, plotters::coord::Shift>,
    title: &str,
    lines: [Line<'_>; N],
    logarithmic: bool,
) -> Result<(), Failure> {
    let all = || lines.iter().flat_map(|(_, _, points)| points);
    let seconds = all().map(|(x, _)| *x).fold(1.0, f64::max);
    let top = all().map(|(_, y)| *y).fold(1.0, f64::max) * 1.1;
    let mut builder = ChartBuilder::on(area);
    builder
        .caption(title, ("sans-serif", 18))
        .margin(12)
        .x_label_area_size(32)
        .y_label_area_size(56);
    if logarithmic {
        let lines = lines.map(|(name, color, points)| {
            let positive = points.into_iter().map(|(x, y)| (x, y.max(0.1)));
            (name, color, positive.collect())
        });
        fill(
            builder.build_cartesian_2d(0.0..seconds, (0.1..top).log_scale())?,
            lines,
        )
    } else {
        fill(builder.build_cartesian_2d(0.0..seconds, 0.0..top)?, lines)
    }
}

fn fill<'a, 'b: 'a, const N: usize, Y>(
    mut chart: ChartContext<'a, SVGBackend<'b>, Cartesian2d<RangedCoordf64, Y>>,
    lines: [Line<'_>; N],
) -> Result<(), Failure>
where
    Y: Ranged<ValueType = f64> + ValueFormatter<f64>,
{
    chart
        .configure_mesh()
        .x_desc("seconds")
        .light_line_style(TRANSPARENT)
        .draw()?;
    for (name, color, points) in lines {
        chart
            .draw_series(LineSeries::new(points, color))?
            .label(name)
            .legend(move |(x, y)| PathElement::new([(x, y), (x + 16, y)], color));
    }
    chart
        .configure_series_labels()
        .border_style(MAX)
        .background_style(WHITE)
        .draw()?;
    Ok(())
}
