//! The terminal: one screen that is drawn over, in plain ANSI sequences. Nothing is read from it, so it
//! needs no raw mode.

use std::io::{self, Write as _};

use terminal_size::{Height, Width, terminal_size};

use super::panel::{LABEL, Line, Panel};
use crate::report::coloured;

/// What fits where the terminal does not say.
const SIZE: (usize, usize) = (80, 24);
/// From this width on, two panels stand side by side.
const SIDE_BY_SIDE: usize = 100;
const GAP: usize = 3;

/// The alternate screen, which is left when this is dropped.
pub(super) struct Screen {
    colour: bool,
}

impl Screen {
    pub(super) fn open(colour: bool) -> Self {
        // What was there comes back at the end; the cursor would jump about.
        let _ = write!(io::stdout(), "\x1b[?1049h\x1b[?25l");
        Self { colour }
    }

    pub(super) fn draw(&self, panels: &[Panel]) -> io::Result<()> {
        let (width, height) = terminal_size().map_or(SIZE, |(Width(width), Height(height))| {
            (usize::from(width), usize::from(height))
        });
        let mut stdout = io::stdout().lock();
        stdout.write_all(frame(panels, width, height, self.colour).as_bytes())?;
        stdout.flush()
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        let mut stdout = io::stdout().lock();
        let _ = write!(stdout, "\x1b[?25h\x1b[?1049l");
        let _ = stdout.flush();
    }
}

/// The sequences for one frame: each line is cleared to its end, and the rest of the screen below.
fn frame(panels: &[Panel], width: usize, height: usize, colour: bool) -> String {
    let mut rows = match panels {
        [left, right] if width >= SIDE_BY_SIDE => {
            let half = (width - GAP) / 2;
            beside(&rows(left, half, colour), &rows(right, half, colour), half)
        }
        panels => {
            let each = panels.iter().map(|panel| rows(panel, width, colour));
            each.collect::<Vec<_>>().join(&Row::default())
        }
    };
    // The last row is for the hint; a line more would scroll.
    rows.truncate(height.saturating_sub(1));
    let mut text = String::from("\x1b[H");
    for row in &rows {
        text.push_str(&row.text);
        text.push_str("\x1b[K\r\n");
    }
    text.push_str("Ctrl-C ends\x1b[K\x1b[J");
    text
}

/// A row, and how many columns it takes without its colours.
#[derive(Clone, Debug, Default)]
struct Row {
    text: String,
    columns: usize,
}

impl Row {
    fn plain(text: String) -> Self {
        let columns = text.chars().count();
        Self { text, columns }
    }
}

fn beside(left: &[Row], right: &[Row], half: usize) -> Vec<Row> {
    let none = Row::default();
    (0..left.len().max(right.len()))
        .map(|index| {
            let (left, right) = (
                left.get(index).unwrap_or(&none),
                right.get(index).unwrap_or(&none),
            );
            let pad = half.saturating_sub(left.columns) + GAP;
            Row {
                text: format!("{}{:pad$}{}", left.text, "", right.text),
                columns: half + GAP + right.columns,
            }
        })
        .collect()
}

fn rows(panel: &Panel, width: usize, colour: bool) -> Vec<Row> {
    let code = match panel.state.as_str() {
        "green" => 32,
        "amber" => 33,
        _ => 31,
    };
    let title = format!("{} ● {}", panel.title, panel.state);
    let columns = title.chars().count();
    let state = coloured(format!("● {}", panel.state), code, colour);
    let mut rows = vec![Row {
        text: format!("{} {state}", panel.title),
        columns,
    }];
    let room = width.saturating_sub(LABEL).max(1);
    for line in &panel.lines {
        match line {
            Line::Text(text) => rows.extend(wrapped(text, width.max(1)).map(Row::plain)),
            Line::Labelled(name, text) => {
                let mut name = *name;
                for part in wrapped(text, room) {
                    rows.push(Row::plain(format!("{name:LABEL$}{part}")));
                    name = "";
                }
            }
            Line::Bar(name, bar) => {
                rows.push(Row::plain(format!(
                    "{name:LABEL$}{}",
                    bar.draw(room.min(60))
                )));
            }
        }
    }
    rows
}

/// Breaks a text between words where it can, within them where it must. At least one line.
fn wrapped(text: &str, width: usize) -> impl Iterator<Item = String> {
    let mut lines = vec![String::new()];
    let mut columns = 0;
    for word in text.split(' ') {
        let length = word.chars().count();
        if columns > 0 && columns + 1 + length > width {
            lines.push(String::new());
            columns = 0;
        } else if columns > 0 {
            if let Some(line) = lines.last_mut() {
                line.push(' ');
            }
            columns += 1;
        }
        for character in word.chars() {
            if columns == width {
                lines.push(String::new());
                columns = 0;
            }
            if let Some(line) = lines.last_mut() {
                line.push(character);
            }
            columns += 1;
        }
    }
    lines.into_iter()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn panel(service: &str) -> Panel {
        let document = json!({
            "service": service, "state": "amber", "reason": "because ".repeat(20), "advice": "x".repeat(150),
            "token": { "age_ms": 30_000, "lifetime_ms": 60_000, "refresh_after_ms": 45_000,
                "leeway_after_ms": 50_000, "freshness": "fresh", "issuer": "http://a",
                "requests": { "ok": 1, "failed": 0 }, "history": [] },
            "http": { "answers": { "2xx": 3 } },
        });
        Panel::new(&"http://127.0.0.1:1".parse().unwrap(), &document, None)
    }

    /// What is left when the sequences are taken out.
    fn visible(frame: &str) -> Vec<String> {
        let mut text = String::new();
        let mut characters = frame.chars();
        while let Some(character) = characters.next() {
            if character == '\x1b' {
                characters.find(char::is_ascii_alphabetic);
            } else {
                text.push(character);
            }
        }
        text.lines().map(str::to_owned).collect()
    }

    #[test]
    fn a_frame_fits_every_terminal() {
        for (width, height) in [(80, 24), (100, 24), (200, 60), (40, 10), (1, 1)] {
            for count in 0..=3 {
                let panels: Vec<Panel> = (0..count).map(|_| panel("public-data")).collect();
                let shown = visible(&frame(&panels, width, height, true));
                assert!(shown.len() <= height, "{width} × {height}: {shown:#?}");
                // Titles and the hint are short; narrower terminals cut them off.
                let widest = shown.iter().map(|line| line.chars().count()).max();
                assert!(
                    widest <= Some(width.max(19)),
                    "{width} × {height}: {shown:#?}"
                );
            }
        }
    }

    #[test]
    fn two_services_stand_side_by_side_where_there_is_room() {
        let panels = [panel("one"), panel("two")];
        let wide = visible(&frame(&panels, 120, 40, false));
        assert!(wide[0].starts_with("one ● amber") && wide[0].ends_with("two ● amber"));
        let narrow = visible(&frame(&panels, 80, 60, false));
        assert_eq!(narrow[0], "one ● amber");
        assert!(narrow.iter().any(|line| line == "two ● amber"));
    }

    #[test]
    fn the_bar_shows_age_margin_and_leeway() {
        let lines = visible(&frame(&[panel("one")], 69, 40, false));
        let bar = lines.iter().find(|line| line.starts_with("token")).unwrap();
        let bar: Vec<char> = bar.chars().skip(9).collect();
        let count = |wanted| bar.iter().filter(|cell| **cell == wanted).count();
        assert_eq!(
            [count('█'), count('░'), count('▒'), count('▓')],
            [30, 15, 5, 10],
            "{bar:?}"
        );
    }
}
