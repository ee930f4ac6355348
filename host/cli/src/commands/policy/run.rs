//! `policy run`: one decision on one snapshot, with its reasons and with what it took of each limit.

use super::desk::{config, config_of, desk, money, share};
use crate::arguments::{Decision, PolicyRun};
use anyhow::Context;
use autoscaler_cases::{Config, Desk, Source, read};
use autoscaler_core::decision::{
    Answer, Catalogue, ClassRow, Kind, Note, Oracle, Question, RebalanceAction, Rejection,
};
use autoscaler_core::model::Snapshot;
use autoscaler_core::packing::place_pending;
use autoscaler_policy::course::{self, Accept};
use autoscaler_policy::record::{self, Call, Choice, Record, Round, Subject, Totals, lines, totals};
use autoscaler_policy::{CallReport, Limits};
use serde_json::{Value, json};
use std::fmt::Write;

/// One answer in words.
struct Answered {
    kind: Kind,
    choice: Choice,
    report: CallReport,
    /// What is proposed, and what is not done, each with its reason.
    said: Vec<(String, String)>,
}

pub(super) fn run(options: &PolicyRun) -> anyhow::Result<()> {
    let desk = desk(&options.desk)?;
    let source = read(&options.snapshot, options.catalogue.as_deref())?;
    for note in &source.notes {
        eprintln!("vpsie-autoscaler: {note}");
    }
    let config = config(&options.desk.config, source.config.clone())?;
    let subject = subject(options.decision, &source);
    let mut record = Record::blank(source.snapshot().clone(), subject);
    if let Some(recorded) = &source.record {
        record.set_aside.clone_from(&recorded.set_aside);
    }
    let (round, answers) = decide(&desk, &config, &record)?;
    record.rounds = vec![round];
    if let Some(file) = &options.record {
        let bytes = record::encode(&record)?;
        std::fs::write(file, bytes).with_context(|| format!("--record: writing {}", file.display()))?;
    }
    let report = report(&record, &answers);
    let text = if options.json {
        let text = serde_json::to_string_pretty(&report).context("writing the report as JSON")?;
        format!("{text}\n")
    } else {
        table(&report)
    };
    super::super::print(&text)
}

/// What the user wants; else what the snapshot is about.
fn subject(wanted: Option<Decision>, source: &Source) -> Subject {
    match (wanted, &source.record) {
        (Some(Decision::Growth), _) => Subject::Growth,
        (Some(Decision::Removal), _) => Subject::Removal,
        (None, Some(record)) => record.subject,
        (None, None) if source.snapshot().pods.is_empty() => Subject::Removal,
        (None, None) => Subject::Growth,
    }
}

/// Asks for the whole cluster, as if it were one partition.
fn decide(desk: &Desk, config: &Config, record: &Record) -> anyhow::Result<(Round, Vec<Answered>)> {
    let mut answers = Vec::new();
    let mut ask = |question: &Question, oracle: &dyn Oracle, accept: Accept<'_>| {
        let kind = question.kind();
        let choice = desk
            .choice(kind, &config_of(config, kind))
            .context("no policy for this question")?;
        let report = choice
            .policy
            .decide(question, &choice.config, &choice.limits, oracle)
            .with_context(|| format!("asking {} about {kind}", choice.name))?;
        accept(&report.answer)
            .map_err(|text| anyhow::anyhow!("{text}"))
            .with_context(|| format!("the checker refuses what {} answers to {kind}", choice.name))?;
        let answer = report.answer.clone();
        answers.push(Answered {
            kind,
            choice,
            said: said(question, &report.answer),
            report,
        });
        anyhow::Ok(answer)
    };
    let mut placement = place_pending(&record.snapshot);
    for unplaced in &mut placement.unplaced {
        unplaced.pods.retain(|pod| !record.set_aside.contains(pod));
    }
    placement.unplaced.retain(|unplaced| !unplaced.pods.is_empty());
    let plan = match record.subject {
        Subject::Growth => course::grow(&mut placement, &|_| true, &mut ask)?
            .and_then(|growth| growth.selection)
            .map(|selection| selection.plan),
        Subject::Removal => course::shrink(&placement, &|_| true, &mut ask)?.map(|shrinkage| shrinkage.plan),
    };
    let groups = (0..).take(record.snapshot.groups.len()).collect();
    let calls = answers
        .iter()
        .map(|answered| Call::answered(answered.kind, &answered.choice, &answered.report));
    let round = Round {
        groups,
        calls: calls.collect(),
        plan: plan
            .as_ref()
            .map(|plan| plan.actions().to_vec())
            .unwrap_or_default(),
        notes: plan.map(|plan| plan.notes().to_vec()).unwrap_or_default(),
    };
    Ok((round, answers))
}

/// The parts of an answer, each with its reason, in the names of the question.
fn said(question: &Question, answer: &Answer) -> Vec<(String, String)> {
    let because = |reason: &autoscaler_core::decision::Reason| format!("{}: {}", reason.code, reason.text);
    let (catalogue, classes, nodes): (&Catalogue, &[ClassRow], &[String]) = match question {
        Question::ScaleUp {
            catalogue, pending, ..
        }
        | Question::NodeSelection {
            catalogue, pending, ..
        } => (catalogue, &pending.classes, &[]),
        Question::Rebalance { catalogue, fleet, .. } => (catalogue, &[], &fleet.names),
    };
    let class = |row: u32| classes.get(row as usize).map_or("?", |class| class.name.as_str());
    let group = |row: u32| {
        catalogue
            .groups
            .get(row as usize)
            .map_or("?", |group| group.name.as_str())
    };
    let node = |row: u32| nodes.get(row as usize).map_or("?", String::as_str);
    let offering = |row: u32| {
        let template = catalogue.templates.get(row as usize);
        template.map_or_else(
            || "?".to_owned(),
            |t| format!("{} for {}", t.offering, group(t.group)),
        )
    };
    let rejected = |rejection: &Rejection| {
        let place = rejection
            .group
            .map_or_else(String::new, |row| format!(" from {}", group(row)));
        (
            format!("nothing for {}{place}", class(rejection.class)),
            because(&rejection.reason),
        )
    };
    match answer {
        Answer::ScaleUp(demand) => {
            let grown = demand.groups.iter().map(|wish| {
                let pods: u64 = wish.pods.iter().map(|count| u64::from(count.pods)).sum();
                (
                    format!("grow {} for {pods} pods", group(wish.group)),
                    because(&wish.reason),
                )
            });
            grown.chain(demand.rejections.iter().map(rejected)).collect()
        }
        Answer::NodeSelection(mix) => {
            let bought = mix.purchases.iter().map(|purchase| {
                let text = format!("buy {} × {}", purchase.count, offering(purchase.template));
                (text, because(&purchase.reason))
            });
            bought.chain(mix.rejections.iter().map(rejected)).collect()
        }
        Answer::Rebalance(proposal) => {
            let removed = proposal.steps.iter().map(|step| {
                let what = match &step.action {
                    RebalanceAction::Remove(row) => format!("remove {}", node(*row)),
                    RebalanceAction::Replace(replacement) => {
                        let nodes: Vec<_> = replacement.nodes.iter().map(|row| node(*row)).collect();
                        let additions = replacement.additions.iter();
                        let additions: Vec<String> = additions
                            .map(|addition| format!("{} × {}", addition.count, offering(addition.template)))
                            .collect();
                        format!("replace {} by {}", nodes.join(", "), additions.join(", "))
                    }
                };
                (format!("{what} in batch {}", step.batch), because(&step.reason))
            });
            let kept = proposal
                .kept
                .iter()
                .map(|kept| (format!("keep {}", node(kept.node)), because(&kept.reason)));
            removed.chain(kept).collect()
        }
    }
}

fn report(record: &Record, answers: &[Answered]) -> Value {
    let snapshot: &Snapshot = &record.snapshot;
    let answer = |answered: &Answered| {
        let Limits {
            fuel,
            deadline,
            memory_bytes,
            ..
        } = answered.choice.limits;
        let description = answered.choice.policy.description(answered.kind);
        let report = &answered.report;
        let said: Vec<Value> = answered
            .said
            .iter()
            .map(|(what, why)| json!({"what": what, "why": why}))
            .collect();
        let log: Vec<String> = report.log.iter().map(|line| line.text.clone()).collect();
        json!({
            "kind": answered.kind.as_str(), "policy": answered.choice.name,
            "name": description.map(|d| d.name.clone()), "version": description.map(|d| d.version.clone()),
            "digest": answered.choice.policy.digest(),
            "fuel": report.fuel_used, "fuelLimit": fuel,
            "micros": u64::try_from(report.duration.as_micros()).unwrap_or(u64::MAX),
            "deadlineMs": u64::try_from(deadline.as_millis()).unwrap_or(u64::MAX),
            "memoryBytes": report.memory_peak, "memoryLimit": memory_bytes,
            "questions": report.what_if_calls, "answer": said, "log": log,
        })
    };
    let notes: Vec<&Note> = record.rounds.iter().flat_map(|round| &round.notes).collect();
    let notes: Vec<String> = notes
        .iter()
        .map(|note| format!("{}: {}: {}", note.subject, note.reason.code, note.reason.text))
        .collect();
    let Totals {
        nodes_bought,
        nodes_removed,
        hourly_micros,
        pods_left,
    } = totals(record, &record.rounds);
    json!({
        "subject": record.subject.as_str(),
        "groups": snapshot.groups.len(), "templates": snapshot.templates.len(), "nodes": snapshot.nodes.len(),
        "waiting": snapshot.pods.len(),
        "answers": answers.iter().map(answer).collect::<Vec<_>>(),
        "plan": lines(snapshot, &record.rounds, false), "checker": notes,
        "nodesBought": nodes_bought, "nodesRemoved": nodes_removed, "hourly": money(hourly_micros),
        "podsLeft": pods_left,
    })
}

fn table(report: &Value) -> String {
    let word = |value: &Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    let number = |value: &Value| value.as_u64().unwrap_or(0);
    let mut out = String::new();
    let _ = writeln!(
        out,
        "cluster  {} node groups, {} ways to buy a node, {} nodes, {} pods wait",
        report["groups"], report["templates"], report["nodes"], report["waiting"]
    );
    for answer in report["answers"].as_array().into_iter().flatten() {
        let _ = writeln!(
            out,
            "\n{}: {} {} ({})",
            word(&answer["kind"]),
            word(&answer["name"]),
            word(&answer["version"]),
            word(&answer["policy"])
        );
        let (fuel, limit) = (number(&answer["fuel"]), number(&answer["fuelLimit"]));
        let _ = writeln!(out, "  fuel    {fuel} of {limit} ({})", share(fuel, limit));
        let (micros, limit) = (number(&answer["micros"]), number(&answer["deadlineMs"]));
        let _ = writeln!(
            out,
            "  time    {}.{:03} ms of {limit} ms ({})",
            micros / 1000,
            micros % 1000,
            share(micros, limit * 1000)
        );
        let (memory, limit) = (number(&answer["memoryBytes"]), number(&answer["memoryLimit"]));
        let _ = writeln!(
            out,
            "  memory  {} KiB of {} KiB ({})",
            memory >> 10,
            limit >> 10,
            share(memory, limit)
        );
        let _ = writeln!(out, "  oracle  {} questions", answer["questions"]);
        let said: Vec<(String, String)> = answer["answer"]
            .as_array()
            .into_iter()
            .flatten()
            .map(|part| (word(&part["what"]), word(&part["why"])))
            .collect();
        let width = said
            .iter()
            .map(|(what, _)| what.chars().count())
            .max()
            .unwrap_or(0);
        for (what, why) in said {
            let _ = writeln!(out, "  {what:<width$}  {why}");
        }
        for line in answer["log"].as_array().into_iter().flatten() {
            let _ = writeln!(out, "  log: {}", word(line));
        }
    }
    let list = |out: &mut String, title: &str, lines: &Value, none: &str| {
        let _ = writeln!(out, "\n{title}");
        let lines = lines.as_array().map(Vec::as_slice).unwrap_or_default();
        for line in lines {
            let _ = writeln!(out, "  {}", word(line));
        }
        if lines.is_empty() {
            let _ = writeln!(out, "  {none}");
        }
    };
    list(&mut out, "checker", &report["checker"], "changes nothing");
    list(&mut out, "plan", &report["plan"], "nothing to do");
    let _ = writeln!(
        out,
        "  {} nodes come, {} go; {} per hour; {} pods left",
        report["nodesBought"],
        report["nodesRemoved"],
        word(&report["hourly"]),
        report["podsLeft"]
    );
    out
}
