//! Plots as SVG.

use std::io;
use std::path::Path;

use plotters::coord::Shift;
use plotters::prelude::*;

const COLORS: [RGBColor; 4] = [
    RGBColor(0, 114, 178),
    RGBColor(213, 94, 0),
    RGBColor(0, 158, 115),
    RGBColor(120, 120, 120),
];

/// One bar of a chart.
#[derive(Clone, Debug)]
pub struct Bar<'a> {
    /// Shown on its left.
    pub name: &'a str,
    /// Its length.
    pub value: f64,
    /// Shown on its right.
    pub label: String,
}

/// One line of a plot: its name and its points.
pub type Line<'a> = (&'a str, Vec<(f64, f64)>);

/// Draws bars below each other, as long as their values' logarithms.
///
/// # Errors
///
/// Fails when the file cannot be written.
pub fn bars(path: &Path, title: &str, unit: &str, bars: &[Bar<'_>]) -> io::Result<()> {
    const ROW: usize = 28;
    let smallest = bars.iter().map(|it| it.value).fold(f64::MAX, f64::min);
    let largest = bars.iter().map(|it| it.value).fold(f64::MIN, f64::max);
    // A bar of the smallest value still shows.
    let span = (largest / smallest).ln() + 0.5;
    let height = u32::try_from(48 + ROW * bars.len()).map_err(io::Error::other)?;
    let draw = || -> Result<(), Box<dyn std::error::Error>> {
        let root = SVGBackend::new(path, (1_000, height)).into_drawing_area();
        root.fill(&WHITE)?;
        let text = TextStyle::from(("sans-serif", 14));
        let head = format!("{title} ({unit}, logarithmic)");
        root.draw_text(&head, &("sans-serif", 17).into(), (10, 12))?;
        for (n, bar) in bars.iter().enumerate() {
            let top = i32::try_from(44 + ROW * n)?;
            let share = ((bar.value / smallest).ln() + 0.5) / span;
            #[expect(clippy::cast_possible_truncation, reason = "between 0 and 400")]
            let end = 320 + (share * 400.0) as i32;
            let color = COLORS[0].mix(0.7).filled();
            root.draw(&Rectangle::new([(320, top), (end, top + 18)], color))?;
            root.draw_text(bar.name, &text, (10, top + 3))?;
            root.draw_text(&bar.label, &text, (end + 8, top + 3))?;
        }
        root.present()?;
        Ok(())
    };
    draw().map_err(|error| io::Error::other(error.to_string()))
}

/// A plot of lines over a logarithmic axis.
#[derive(Clone, Debug)]
pub struct Plot<'a> {
    /// Above it.
    pub title: &'a str,
    /// What the horizontal axis counts.
    pub x: &'a str,
    /// What the vertical axis measures, from 0.
    pub y: &'a str,
    /// At most four.
    pub lines: Vec<Line<'a>>,
}

/// Draws plots below each other.
///
/// # Errors
///
/// Fails when the file cannot be written.
pub fn lines(path: &Path, plots: &[Plot<'_>]) -> io::Result<()> {
    let draw = || -> Result<(), Box<dyn std::error::Error>> {
        let height = u32::try_from(plots.len() * 320)?;
        let root = SVGBackend::new(path, (900, height)).into_drawing_area();
        root.fill(&WHITE)?;
        for (area, plot) in root.split_evenly((plots.len(), 1)).iter().zip(plots) {
            draw_lines(area, plot)?;
        }
        root.present()?;
        Ok(())
    };
    draw().map_err(|error| io::Error::other(error.to_string()))
}

fn draw_lines(
    area: &DrawingArea<SVGBackend<'_>, Shift>,
    plot: &Plot<'_>,
) -> Result<(), Box<dyn std::error::Error>> {
    let all = || plot.lines.iter().flat_map(|(_, points)| points);
    let first = all().map(|(x, _)| *x).fold(f64::MAX, f64::min);
    let last = all().map(|(x, _)| *x).fold(f64::MIN, f64::max);
    let top = all().map(|(_, y)| *y).fold(0.0, f64::max) * 1.15;
    let mut chart = ChartBuilder::on(area)
        .caption(plot.title, ("sans-serif", 17))
        .margin(12)
        .x_label_area_size(36)
        .y_label_area_size(64)
        .build_cartesian_2d((first..last).log_scale(), 0.0..top)?;
    chart
        .configure_mesh()
        .x_desc(plot.x)
        .y_desc(plot.y)
        .light_line_style(TRANSPARENT)
        .draw()?;
    for ((name, points), color) in plot.lines.iter().zip(COLORS) {
        let dots = points.iter().map(|at| Circle::new(*at, 3, color.filled()));
        chart.draw_series(dots)?;
        chart
            .draw_series(LineSeries::new(points.iter().copied(), color))?
            .label(*name)
            .legend(move |(x, y)| PathElement::new([(x, y), (x + 16, y)], color));
    }
    chart
        .configure_series_labels()
        .border_style(COLORS[3])
        .background_style(WHITE)
        .draw()?;
    Ok(())
}
