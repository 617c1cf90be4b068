//! Draws figures as bars with their spread: one row a case, its metrics side by side.

use std::path::Path;

use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, Pos, VPos};

use crate::figure::{Figure, short};
use crate::report::{NOT_STACKS, Part};

const WIDTH: i32 = 1_160;
const COLUMNS: usize = 2;
const COLUMN: i32 = WIDTH / COLUMNS as i32;
const LINE: i32 = 20;
const HEAD: i32 = 62;
const CASE: i32 = 34;
/// Where bars begin and end in a column.
const LEFT: i32 = 215;
const RIGHT: i32 = 420;
/// Values that differ by more than this are drawn on a logarithmic scale.
const WIDE: f64 = 300.0;

const OURS: RGBColor = RGBColor(0x1f, 0x5f, 0xa8);
const OURS_TOO: RGBColor = RGBColor(0x8f, 0xb8, 0xde);
const OTHERS: RGBColor = RGBColor(0xb4, 0xb4, 0xb4);
const MARKS: RGBColor = RGBColor(0xc9, 0xd6, 0xb8);
const INK: RGBColor = RGBColor(0x22, 0x22, 0x22);
const FAINT: RGBColor = RGBColor(0x77, 0x77, 0x77);
const GRID: RGBColor = RGBColor(0xe4, 0xe4, 0xe4);

/// Told in the table and in the JSON alone.
const NOT_DRAWN: [&str; 2] = ["allocations", "largest datagram"];

type Area<'a> = DrawingArea<SVGBackend<'a>, plotters::coord::Shift>;
type Drawn = Result<(), Box<dyn std::error::Error>>;

/// One metric of one case.
struct Panel<'a> {
    figures: Vec<&'a Figure>,
}

/// Draws the figures of a suite into `SUITE.svg`.
pub(crate) fn draw(folder: &Path, part: &Part) -> Result<(), String> {
    let file = folder.join(format!("{}.svg", part.suite));
    let rows = rows(&part.figures);
    let heights: i32 = rows.iter().map(|(_, panels)| height(panels)).sum();
    let size = (WIDTH as u32, (HEAD + heights + LINE) as u32);
    let root = SVGBackend::new(&file, size).into_drawing_area();
    paint(&root, part, &rows).map_err(|error| format!("{}: {error}", file.display()))?;
    eprintln!("drawn: {}", file.display());
    Ok(())
}

/// The panels of each case, in the order in which they first appeared.
fn rows(figures: &[Figure]) -> Vec<(&str, Vec<Panel<'_>>)> {
    let mut rows: Vec<(&str, Vec<Panel<'_>>)> = Vec::new();
    for figure in figures {
        if NOT_DRAWN.contains(&figure.metric.as_str()) {
            continue;
        }
        if !rows.iter().any(|(case, _)| *case == figure.case) {
            rows.push((&figure.case, Vec::new()));
        }
        let Some((_, panels)) = rows.iter_mut().find(|(case, _)| *case == figure.case) else {
            continue;
        };
        let panel = panels
            .iter_mut()
            .find(|it| it.figures[0].metric == figure.metric);
        match panel {
            Some(panel) => panel.figures.push(figure),
            None => panels.push(Panel {
                figures: vec![figure],
            }),
        }
    }
    rows
}

fn height(panels: &[Panel<'_>]) -> i32 {
    let lines: usize = panels
        .chunks(COLUMNS)
        .map(|row| row.iter().map(|it| it.figures.len()).max().unwrap_or(0) + 2)
        .sum();
    CASE + lines as i32 * LINE
}

fn text(size: i32, colour: RGBColor) -> TextStyle<'static> {
    ("sans-serif", size).into_font().color(&colour)
}

fn bold(size: i32) -> TextStyle<'static> {
    ("sans-serif", size)
        .into_font()
        .style(FontStyle::Bold)
        .color(&INK)
}

fn paint(root: &Area<'_>, part: &Part, rows: &[(&str, Vec<Panel<'_>>)]) -> Drawn {
    root.fill(&WHITE)?;
    root.draw(&Text::new(part.heading.clone(), (10, 12), text(15, INK)))?;
    let legend = "Bars: medians over all rounds; lines: from the least to the most. \
                  Blue: ours; grey: other WebRTC stacks; green: QUIC and the limits of the machine.";
    root.draw(&Text::new(legend, (10, 32), text(14, FAINT)))?;
    let mut y = HEAD;
    for (case, panels) in rows {
        let line = vec![(10, y), (WIDTH - 10, y)];
        root.draw(&PathElement::new(line, GRID.stroke_width(1)))?;
        root.draw(&Text::new(
            format!("{}: {case}", part.suite),
            (10, y + 8),
            bold(18),
        ))?;
        y += CASE;
        for row in panels.chunks(COLUMNS) {
            let mut lines = 0;
            for (column, panel) in row.iter().enumerate() {
                paint_panel(root, panel, (column as i32 * COLUMN, y))?;
                lines = lines.max(panel.figures.len());
            }
            y += (lines as i32 + 2) * LINE;
        }
    }
    root.present()?;
    Ok(())
}

/// Where values lie on the line from `LEFT` to `RIGHT`.
struct Scale {
    least: f64,
    most: f64,
    logarithmic: bool,
}

impl Scale {
    fn of(figures: &[&Figure]) -> Self {
        let most = figures
            .iter()
            .map(|it| it.max)
            .fold(f64::MIN_POSITIVE, f64::max);
        let positive = figures.iter().map(|it| it.min).filter(|it| *it > 0.0);
        let least = positive.fold(most, f64::min);
        let logarithmic = most / least > WIDE;
        Scale {
            // A decade line below the least, so that its bar can be seen.
            least: 10_f64.powf((least / 1.5).log10().floor()),
            most,
            logarithmic,
        }
    }

    fn at(&self, value: f64) -> i32 {
        let share = match self.logarithmic {
            false => value / self.most,
            true => (value.max(self.least) / self.least).log10() / (self.most / self.least).log10(),
        };
        LEFT + (f64::from(RIGHT - LEFT) * share.clamp(0.0, 1.0)) as i32
    }

    /// The powers of ten on a logarithmic scale.
    fn decades(&self) -> Vec<f64> {
        let mut decades = Vec::new();
        let mut value = self.least;
        while self.logarithmic && value <= self.most {
            decades.push(value);
            value *= 10.0;
        }
        decades
    }
}

fn colour(figure: &Figure) -> RGBColor {
    let name = figure.contender.as_str();
    match name {
        "ours" | "ours-ice" => OURS,
        _ if name.starts_with("ours") => OURS_TOO,
        _ if NOT_STACKS.iter().any(|it| name.starts_with(it)) => MARKS,
        _ => OTHERS,
    }
}

/// Which way is better, for those who do not know the metric.
fn better(unit: &str) -> &'static str {
    match unit {
        "MB/s" | "per second" => "more is better",
        _ => "less is better",
    }
}

fn paint_panel(root: &Area<'_>, panel: &Panel<'_>, (x, y): (i32, i32)) -> Drawn {
    let figures = &panel.figures;
    let scale = Scale::of(figures);
    let (metric, unit) = (&figures[0].metric, &figures[0].unit);
    let how = match scale.logarithmic {
        true => ", logarithmic scale",
        false => "",
    };
    let head = format!("{metric}, {unit} ({}{how})", better(unit));
    root.draw(&Text::new(head, (x + 10, y), text(15, INK)))?;
    let top = y + LINE;
    let bottom = top + figures.len() as i32 * LINE;
    for value in scale.decades() {
        let at = x + scale.at(value);
        let line = vec![(at, top), (at, bottom)];
        root.draw(&PathElement::new(line, GRID.stroke_width(1)))?;
    }
    let right = text(14, INK).pos(Pos::new(HPos::Right, VPos::Top));
    for (number, figure) in figures.iter().enumerate() {
        let y = top + number as i32 * LINE;
        root.draw(&Text::new(
            figure.label(),
            (x + LEFT - 8, y + 4),
            right.clone(),
        ))?;
        let bar = [
            (x + LEFT, y + 4),
            (x + scale.at(figure.median), y + LINE - 4),
        ];
        root.draw(&Rectangle::new(bar, colour(figure).filled()))?;
        let middle = y + LINE / 2;
        let ends = [figure.min, figure.max].map(|it| (x + scale.at(it), middle));
        root.draw(&PathElement::new(ends.to_vec(), INK.stroke_width(1)))?;
        let value = format!(
            "{}  ({} to {})",
            short(figure.median),
            short(figure.min),
            short(figure.max)
        );
        let beside = x + scale.at(figure.max.max(figure.median)) + 8;
        root.draw(&Text::new(value, (beside, y + 4), text(14, INK)))?;
    }
    Ok(())
}
