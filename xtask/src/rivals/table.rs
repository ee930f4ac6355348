//! The table: one line per workload and contender, with the time of each in times of ours.

use super::contender::{Row, Run};
use serde_json::{Value, json};

const HEADER: [&str; 9] = [
    "workload",
    "who",
    "median",
    "slowest",
    "processor",
    "memory",
    "nodes",
    "price/h",
    "× ours",
];

/// Markdown, with columns wide enough to be read as it is.
pub(super) fn render(rows: &[Row]) -> String {
    let mut lines: Vec<Vec<String>> = vec![HEADER.map(str::to_owned).to_vec()];
    let mut notes = String::new();
    for row in rows {
        let seconds = |run: &Run| Some(run.seconds);
        let dash = || "–".to_owned();
        lines.push(vec![
            row.workload.clone(),
            row.who.clone(),
            row.median(seconds).map_or_else(dash, time),
            row.most(seconds).map_or_else(dash, time),
            row.median(|run| run.cpu_seconds).map_or_else(dash, time),
            row.most(|run| run.peak_memory.map(|bytes| bytes as f64))
                .map_or_else(dash, |bytes| format!("{:.0} MiB", bytes / 1024.0 / 1024.0)),
            row.last(|run| run.nodes)
                .map_or_else(dash, |nodes| nodes.to_string()),
            row.last(|run| run.price)
                .map_or_else(dash, |price| format!("{price:.2}")),
            ratio(row, rows).map_or_else(dash, |ratio| format!("{ratio:.1}")),
        ]);
        let told = row
            .failure
            .clone()
            .map(|failure| format!("LOST: {failure}"))
            .or_else(|| {
                row.last(|run| run.flaw.clone())
                    .map(|flaw| format!("LOST: {flaw}"))
            })
            .or_else(|| row.last(|run| run.remark.clone()));
        if let Some(told) = told {
            notes.push_str(&format!("- {}, {}: {told}\n", row.workload, row.who));
        }
    }
    let widths: Vec<usize> = (0..HEADER.len())
        .map(|column| {
            let width = |line: &Vec<String>| line[column].chars().count();
            lines.iter().map(width).max().unwrap_or(0)
        })
        .collect();
    let rule = widths.iter().map(|width| "-".repeat(*width)).collect();
    lines.insert(1, rule);
    let mut text = String::new();
    for line in &lines {
        for (cell, width) in line.iter().zip(&widths) {
            let filling = width - cell.chars().count();
            text.push_str(&format!("| {cell}{} ", " ".repeat(filling)));
        }
        text.push_str("|\n");
    }
    if !notes.is_empty() {
        text.push('\n');
        text.push_str(&notes);
    }
    text
}

/// Median time in times of the first row's of the same workload, which is ours.
fn ratio(row: &Row, rows: &[Row]) -> Option<f64> {
    let ours = rows.iter().find(|other| other.workload == row.workload)?;
    let seconds = |run: &Run| Some(run.seconds);
    Some(row.median(seconds)? / ours.median(seconds)?)
}

fn time(seconds: f64) -> String {
    if seconds < 0.001 {
        format!("{:.0} µs", seconds * 1e6)
    } else if seconds < 1.0 {
        format!("{:.1} ms", seconds * 1e3)
    } else {
        format!("{seconds:.2} s")
    }
}

/// Every run of every row.
pub(super) fn json(rows: &[Row]) -> Value {
    let run = |run: &Run| {
        json!({
            "seconds": run.seconds,
            "cpuSeconds": run.cpu_seconds,
            "peakMemory": run.peak_memory,
            "nodes": run.nodes,
            "price": run.price,
            "flaw": run.flaw,
            "remark": run.remark,
        })
    };
    let row = |row: &Row| {
        json!({
            "workload": row.workload,
            "who": row.who,
            "runs": row.runs.iter().map(run).collect::<Vec<_>>(),
            "failure": row.failure,
            "timesOurs": ratio(row, rows),
        })
    };
    Value::Array(rows.iter().map(row).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(who: &str, seconds: &[f64], flaw: Option<&str>) -> Row {
        let mut row = Row::new("H1/1", who);
        row.runs = seconds
            .iter()
            .map(|seconds| Run {
                seconds: *seconds,
                flaw: flaw.map(str::to_owned),
                ..Run::default()
            })
            .collect();
        row
    }

    #[test]
    fn rivals_are_held_against_our_first_row() {
        let rows = [
            row("ours", &[0.002, 0.004, 0.003], None),
            row("rival", &[0.3], Some("it forgot a pod")),
            Row {
                failure: Some("no such file".to_owned()),
                ..row("third", &[], None)
            },
        ];
        let text = render(&rows);
        let cells = |line: &str| {
            line.split('|')
                .map(|cell| cell.trim().to_owned())
                .collect::<Vec<_>>()
        };
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(cells(lines[2])[2..5], ["ours", "3.0 ms", "4.0 ms"]);
        assert_eq!(cells(lines[3])[9], "100.0");
        assert_eq!(cells(lines[4])[3], "–");
        assert!(text.contains("rival: LOST: it forgot a pod"), "{text}");
        assert!(text.contains("third: LOST: no such file"), "{text}");
        assert_eq!(json(&rows)[1]["timesOurs"], 100.0);
    }

    #[test]
    fn times_as_people_write_them() {
        for (seconds, text) in [(0.000_012, "12 µs"), (0.0345, "34.5 ms"), (12.0, "12.00 s")] {
            assert_eq!(time(seconds), text);
        }
    }
}
