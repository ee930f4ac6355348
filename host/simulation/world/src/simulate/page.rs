//! The report as one page that needs nothing else: the table, and what happened over time.

use super::report::{Report, Sample};
use std::fmt::Write;

const WIDTH: f64 = 900.0;
const HEIGHT: f64 = 150.0;
const COLOURS: [&str; 6] = ["#1f77b4", "#d62728", "#2ca02c", "#9467bd", "#ff7f0e", "#17becf"];

/// What a picture shows of a look.
type Of = fn(&Sample) -> f64;

/// HTML with inline pictures.
pub fn page(report: &Report) -> String {
    let title = if report.title.is_empty() {
        "Simulation"
    } else {
        &report.title
    };
    let mut html = format!(
        "<!doctype html>\n<html lang=\"en\"><meta charset=\"utf-8\"><title>{0}</title>\n<style>\n\
         body {{ font: 15px/1.5 system-ui, sans-serif; margin: 2rem auto; max-width: 960px; color: #222 }}\n\
         table {{ border-collapse: collapse }} td, th {{ padding: .2rem .8rem; border-bottom: 1px solid #ddd; text-align: right }}\n\
         td:first-child, th:first-child {{ text-align: left }} svg {{ display: block; background: #fafafa }}\n\
         h2 {{ font-size: 1rem; margin: 1.5rem 0 .3rem }} text {{ font: 11px system-ui; fill: #666 }}\n</style>\n\
         <h1>{0}</h1>\n<p>{1} h of simulated time, seed {2}.</p>\n<table><tr><th></th>",
        escaped(title),
        report.hours,
        report.seed
    );
    for (at, column) in report.columns.iter().enumerate() {
        let _ = write!(
            html,
            "<th style=\"color:{}\">{}</th>",
            colour(at),
            escaped(&column.name)
        );
    }
    html.push_str("</tr>\n");
    let lines: Vec<_> = report.columns.iter().map(super::report::Column::lines).collect();
    let names = lines
        .first()
        .map(|lines| lines.iter().map(|(name, _)| *name).collect::<Vec<_>>());
    for (row, name) in names.unwrap_or_default().into_iter().enumerate() {
        let _ = write!(html, "<tr><td>{name}</td>");
        for line in &lines {
            let _ = write!(html, "<td>{}</td>", escaped(&line[row].1));
        }
        html.push_str("</tr>\n");
    }
    html.push_str("</table>\n");
    let pictures: [(&str, Of); 4] = [
        ("Ready nodes", |sample| sample.nodes as f64),
        ("Running pods", |sample| sample.running as f64),
        ("Pods without a node", |sample| sample.pending as f64),
        ("Cost per hour", |sample| sample.hourly),
    ];
    for (name, of) in pictures {
        let _ = write!(html, "<h2>{name}</h2>\n{}", picture(report, of));
    }
    html.push_str("</html>\n");
    html
}

fn picture(report: &Report, of: Of) -> String {
    let samples = || report.columns.iter().flat_map(|column| &column.samples);
    let most = samples().map(of).fold(0.0_f64, f64::max);
    let last = samples().map(|sample| sample.seconds).max().unwrap_or(0).max(1) as f64;
    let scale = if most > 0.0 { (HEIGHT - 20.0) / most } else { 0.0 };
    let mut svg = format!("<svg viewBox=\"0 0 {WIDTH} {HEIGHT}\"><text x=\"4\" y=\"12\">{most}</text>\n");
    for (at, column) in report.columns.iter().enumerate() {
        let mut points = String::new();
        let mut before: Option<f64> = None;
        for sample in &column.samples {
            let (x, y) = (
                sample.seconds as f64 / last * WIDTH,
                HEIGHT - 4.0 - of(sample) * scale,
            );
            // What does not change needs no point, and what changes does so at once.
            if before == Some(y) && sample.seconds as f64 != last {
                continue;
            }
            if let Some(before) = before {
                let _ = write!(points, "{x:.1},{before:.1} ");
            }
            let _ = write!(points, "{x:.1},{y:.1} ");
            before = Some(y);
        }
        let _ = writeln!(
            svg,
            "<polyline fill=\"none\" stroke=\"{}\" stroke-width=\"1.5\" points=\"{}\"/>",
            colour(at),
            points.trim_end()
        );
    }
    svg.push_str("</svg>\n");
    svg
}

fn colour(at: usize) -> &'static str {
    COLOURS.get(at % COLOURS.len()).copied().unwrap_or("black")
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
        .replace('"', "&quot;")
}
