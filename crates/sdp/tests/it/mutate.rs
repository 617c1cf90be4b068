//! Whatever arrives, nothing panics, and what is answered can be read.

use esp_sdp::{Description, Fragment, accept, answer, offer};
use proptest::prelude::*;

use crate::{device, other, sample, sample_names};

/// One change to a text, by lines.
#[derive(Clone, Debug)]
enum Step {
    Drop(usize),
    Double(usize),
    Swap(usize, usize),
    Cut(usize, usize),
    Put(usize, usize, String),
}

fn step() -> impl Strategy<Value = Step> {
    let word = prop_oneof![
        "[ -~]{0,12}",
        Just("a=group:BUNDLE 0 0 9".to_owned()),
        Just("a=bundle-only".to_owned()),
        Just("0".to_owned()),
        Just("99999999999".to_owned()),
        Just("\r\nm=audio 0 RTP/AVP 0\r\n".to_owned()),
        Just("é".to_owned()),
    ];
    prop_oneof![
        any::<usize>().prop_map(Step::Drop),
        any::<usize>().prop_map(Step::Double),
        (any::<usize>(), any::<usize>()).prop_map(|(a, b)| Step::Swap(a, b)),
        (any::<usize>(), any::<usize>()).prop_map(|(a, b)| Step::Cut(a, b)),
        (any::<usize>(), any::<usize>(), word).prop_map(|(a, b, word)| Step::Put(a, b, word)),
    ]
}

fn boundary(line: &str, at: usize) -> usize {
    let at = at % (line.len() + 1);
    (0..=at)
        .rev()
        .find(|at| line.is_char_boundary(*at))
        .unwrap()
}

fn mutated(text: &str, steps: &[Step]) -> String {
    let mut lines: Vec<String> = text.split_inclusive("\r\n").map(str::to_owned).collect();
    for step in steps {
        let count = lines.len().max(1);
        match step {
            Step::Drop(at) if !lines.is_empty() => drop(lines.remove(at % count)),
            Step::Double(at) if !lines.is_empty() => {
                let line = lines[at % count].clone();
                lines.insert(at % count, line);
            }
            Step::Swap(a, b) if !lines.is_empty() => lines.swap(a % count, b % count),
            Step::Cut(at, by) if !lines.is_empty() => {
                let line = &mut lines[at % count];
                line.truncate(boundary(line, *by));
                line.push_str("\r\n");
            }
            Step::Put(at, by, word) if !lines.is_empty() => {
                let line = &mut lines[at % count];
                line.insert_str(boundary(line, *by), word);
            }
            _ => {}
        }
    }
    lines.concat()
}

fn run(text: &str) {
    let Ok(read) = Description::parse(text) else {
        return;
    };
    let text = read.to_string();
    assert!(
        Description::parse(&text).unwrap().to_string() == text,
        "{text}"
    );
    let local = device();
    let before = answer(
        &local,
        None,
        &Description::parse(&sample("chromium_offer")).unwrap(),
    );
    let before = before.unwrap().1;
    for previous in [None, Some(&before)] {
        let Ok((text, agreed)) = answer(&local, previous, &read) else {
            continue;
        };
        assert_eq!(text.sections().len(), read.sections().len());
        let back = Description::parse(&text.to_string()).unwrap();
        for (asked, told) in read.sections().iter().zip(back.sections()) {
            assert_eq!((&asked.kind, &asked.mid), (&told.kind, &told.mid));
        }
        if agreed.transport.is_some() {
            let next = offer(&local, Some(&agreed)).unwrap();
            assert!(next.sections().len() >= read.sections().len());
        }
    }
    let ours = offer(&local, None).unwrap();
    let _ = accept(&ours, &read);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1_500, ..ProptestConfig::default() })]

    #[test]
    fn mutated_samples_never_panic(
        which in any::<usize>(),
        steps in proptest::collection::vec(step(), 0..12),
    ) {
        let names = sample_names();
        run(&mutated(&sample(&names[which % names.len()]), &steps));
    }

    #[test]
    fn mutated_answers_of_ours_never_panic(
        steps in proptest::collection::vec(step(), 0..6),
    ) {
        let ours = offer(&device(), None).unwrap();
        let (text, _) = answer(&other(), None, &ours).unwrap();
        if let Ok(read) = Description::parse(&mutated(&text.to_string(), &steps))
            && let Ok(agreed) = accept(&ours, &read)
        {
            for media in &agreed.media {
                prop_assert_eq!(media.send.len(), media.receive.len());
                prop_assert!(!media.send.is_empty());
            }
        }
    }

    #[test]
    fn any_text_is_survived(text in "([a-z]=[ -~]{0,30}\r?\n){0,20}|\\PC{0,200}") {
        run(&text);
        let _ = Fragment::parse(&text);
    }
}
