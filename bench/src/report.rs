//! All figures as one page of tables, for those who do not run the bench themselves.

use std::fmt::Write as _;

use crate::figure::{Figure, short};

/// What carries no WebRTC: a mark, and the limits of the machine.
pub(crate) const NOT_STACKS: [&str; 4] = ["quinn", "udp", "udp-gso", "aes-gcm"];

/// One suite as it was measured.
pub(crate) struct Part {
    /// Its name.
    pub(crate) suite: &'static str,
    /// The machine and its load.
    pub(crate) heading: String,
    /// What was measured.
    pub(crate) figures: Vec<Figure>,
}

/// The page of all parts.
pub(crate) fn page(parts: &[Part], command: &str) -> String {
    let mut text = format!(
        "# Figures\n\nWritten by `{command}`; see [the bench](../README.md) for what is measured and how. \
         Medians over all rounds, in brackets the least and the most.\n"
    );
    for part in parts {
        let _ = write!(
            text,
            "\n## {}\n\n{}.\n\n![{}]({}.svg)\n",
            part.suite, part.heading, part.suite, part.suite
        );
        text += &comparison(&part.figures);
        let mut metrics: Vec<&str> = Vec::new();
        for figure in &part.figures {
            if !metrics.contains(&figure.metric.as_str()) {
                metrics.push(&figure.metric);
            }
        }
        for metric in metrics {
            let figures: Vec<&Figure> = part
                .figures
                .iter()
                .filter(|it| it.metric == metric)
                .collect();
            text += &tables(&figures);
        }
    }
    text
}

/// How many times the goodput of the best other stack ours has, and of the mark.
fn comparison(figures: &[Figure]) -> String {
    let mut text = String::new();
    let goodput: Vec<&Figure> = figures.iter().filter(|it| it.metric == "goodput").collect();
    for ours in goodput.iter().filter(|it| it.contender == "ours") {
        let same = goodput.iter().filter(|it| it.case == ours.case);
        let others = same.clone().filter(|it| {
            !it.contender.starts_with("ours") && !NOT_STACKS.contains(&it.contender.as_str())
        });
        let best = others.max_by(|a, b| a.median.total_cmp(&b.median));
        let Some(best) = best.filter(|best| best.median > 0.0) else {
            continue;
        };
        let _ = write!(
            text,
            "- {}: {} times {}, the best other WebRTC stack of this run",
            ours.case,
            short(ours.median / best.median),
            best.contender
        );
        let quinn = same.clone().find(|it| it.contender == "quinn");
        if let Some(quinn) = quinn {
            let _ = write!(text, "; {} times quinn", short(ours.median / quinn.median));
        }
        text += ".\n";
    }
    match text.is_empty() {
        true => text,
        false => format!("\n{text}"),
    }
}

fn cell(figure: Option<&&Figure>) -> String {
    figure.map_or("-".into(), |it| {
        format!(
            "{} ({} to {})",
            short(it.median),
            short(it.min),
            short(it.max)
        )
    })
}

/// A column for each contender with several cases; the others have a line each.
fn tables(figures: &[&Figure]) -> String {
    let mut cases: Vec<&str> = Vec::new();
    let mut columns: Vec<(&str, String)> = Vec::new();
    for figure in figures {
        if !cases.contains(&figure.case.as_str()) {
            cases.push(&figure.case);
        }
        if !columns.iter().any(|(name, _)| *name == figure.contender) {
            columns.push((&figure.contender, figure.label()));
        }
    }
    let of = |name: &str| {
        figures
            .iter()
            .filter(move |it| it.contender == name)
            .count()
    };
    let several = |name: &str| of(name) > 1 || cases.len() == 1;
    let head = format!("{}, {}", figures[0].metric, figures[0].unit);
    let wide: Vec<_> = columns.iter().filter(|(name, _)| several(name)).collect();
    let mut text = String::new();
    if !wide.is_empty() {
        let _ = write!(text, "\n| {head} |");
        for (_, label) in &wide {
            let _ = write!(text, " {label} |");
        }
        let _ = write!(text, "\n|---|{}", "---|".repeat(wide.len()));
        for case in &cases {
            let find = |name: &str| {
                figures
                    .iter()
                    .find(|it| it.case == *case && it.contender == name)
            };
            if wide.iter().all(|(name, _)| find(name).is_none()) {
                continue;
            }
            let _ = write!(text, "\n| {case} |");
            for (name, _) in &wide {
                let _ = write!(text, " {} |", cell(find(name)));
            }
        }
        text.push('\n');
    }
    let single: Vec<_> = figures
        .iter()
        .filter(|it| !several(&it.contender))
        .collect();
    if !single.is_empty() {
        let _ = write!(text, "\n| | case | {head} |\n|---|---|---|\n");
        for figure in single {
            let _ = writeln!(
                text,
                "| {} | {} | {} |",
                figure.label(),
                figure.case,
                cell(Some(figure))
            );
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn figure(contender: &str, case: &str, median: f64) -> Figure {
        Figure {
            contender: contender.into(),
            metric: "goodput".into(),
            case: case.into(),
            unit: "MB/s".into(),
            median,
            min: median / 2.0,
            max: median * 2.0,
            rounds: 3,
            security: Some("DTLS 1.3".into()),
        }
    }

    #[test]
    fn a_page_compares_with_the_best_other_stack() {
        let figures = vec![
            figure("ours", "large", 500.0),
            figure("ours", "small", 50.0),
            figure("str0m", "large", 20.0),
            figure("str0m", "small", 5.0),
            figure("webrtc", "large", 50.0),
            figure("webrtc", "small", 1.0),
            figure("quinn", "large", 250.0),
        ];
        let part = Part {
            suite: "data",
            heading: "a machine".into(),
            figures,
        };
        let page = page(&[part], "bench");
        assert!(page.contains("large: 10.0 times webrtc"), "{page}");
        assert!(page.contains("2.00 times quinn"), "{page}");
        assert!(page.contains("small: 10.0 times str0m"), "{page}");
        assert!(
            page.contains("| small | 50.0 (25.0 to 100) | 5.00"),
            "{page}"
        );
        assert!(page.contains("| quinn, DTLS 1.3 | large | 250"), "{page}");
    }
}
