//! Draws figures as bars with their spread.

use std::path::Path;

use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, Pos, VPos};

use crate::figure::{Figure, short};

const WIDTH: u32 = 900;
const LINE: i32 = 20;
const LEFT: i32 = 190;
const RIGHT: i32 = 640;

/// Draws all figures of a suite into `SUITE.svg`, one block a metric and case.
pub(crate) fn draw(folder: &Path, suite: &str, figures: &[Figure]) -> Result<(), String> {
    std::fs::create_dir_all(folder).map_err(|error| error.to_string())?;
    let file = folder.join(format!("{suite}.svg"));
    let mut blocks: Vec<Vec<&Figure>> = Vec::new();
    for figure in figures {
        let alike = blocks
            .iter_mut()
            .find(|it| it[0].metric == figure.metric && it[0].case == figure.case);
        match alike {
            Some(block) => block.push(figure),
            None => blocks.push(vec![figure]),
        }
    }
    let lines: usize = blocks.iter().map(|block| block.len() + 2).sum();
    let height = (lines as u32 + 1) * LINE as u32;
    let root = SVGBackend::new(&file, (WIDTH, height)).into_drawing_area();
    paint(&root, &blocks).map_err(|error| format!("{}: {error}", file.display()))?;
    eprintln!("drawn: {}", file.display());
    Ok(())
}

type Area<'a> = DrawingArea<SVGBackend<'a>, plotters::coord::Shift>;

fn paint(root: &Area<'_>, blocks: &[Vec<&Figure>]) -> Result<(), Box<dyn std::error::Error>> {
    root.fill(&WHITE)?;
    let mut y = LINE;
    let title = ("sans-serif", 14).into_font().style(FontStyle::Bold);
    let small = TextStyle::from(("sans-serif", 12).into_font());
    let right = small.clone().pos(Pos::new(HPos::Right, VPos::Top));
    for block in blocks {
        let head = format!("{}, {} ({})", block[0].metric, block[0].case, block[0].unit);
        root.draw(&Text::new(head, (10, y), title.clone()))?;
        y += LINE;
        let most = block
            .iter()
            .map(|it| it.max)
            .fold(f64::MIN_POSITIVE, f64::max);
        let at = |value: f64| LEFT + (f64::from(RIGHT - LEFT) * value.max(0.0) / most) as i32;
        for figure in block {
            let colour = if figure.contender == "ours" {
                RED
            } else {
                BLUE
            };
            root.draw(&Text::new(
                figure.contender.clone(),
                (LEFT - 8, y + 2),
                right.clone(),
            ))?;
            let bar = [(LEFT, y + 3), (at(figure.median), y + LINE - 4)];
            root.draw(&Rectangle::new(bar, colour.mix(0.6).filled()))?;
            let middle = y + LINE / 2;
            let spread = vec![(at(figure.min), middle), (at(figure.max), middle)];
            root.draw(&PathElement::new(spread, BLACK.stroke_width(1)))?;
            let value = format!(
                "{} ({} to {})",
                short(figure.median),
                short(figure.min),
                short(figure.max)
            );
            let beside = (at(figure.max.max(figure.median)) + 8, y + 2);
            root.draw(&Text::new(value, beside, small.clone()))?;
            y += LINE;
        }
        y += LINE;
    }
    root.present()?;
    Ok(())
}
