//! What Prometheus and Grafana are set up with, written from the metrics, alarms and deadlines of
//! this program: `docs/operators/grafana.json` and `docs/operators/alerts.yml`.

mod alerts;

use serde_json::{Value, json};

use crate::api::metric::{self, Metric, MetricKind, Section, Unit};

pub use alerts::alerts;

/// Panels side by side; Grafana's grid is 24 wide.
const PANELS_ABREAST: usize = 3;
const PANEL_WIDTH: usize = 24 / PANELS_ABREAST;
const PANEL_HEIGHT: usize = 8;

/// The board: a panel for each metric, in sections.
pub fn grafana() -> String {
    let mut panels = Vec::new();
    let mut y = 0;
    for section in Section::ALL {
        panels.push(json!({
            "type": "row",
            "id": panels.len() + 1,
            "title": section.name(),
            "collapsed": false,
            "gridPos": {"x": 0, "y": y, "w": 24, "h": 1},
            "panels": [],
        }));
        y += 1;
        let shown = metric::ALL.iter().filter(|it| it.section == *section);
        let shown: Vec<_> = shown.collect();
        for abreast in shown.chunks(PANELS_ABREAST) {
            for (column, metric) in abreast.iter().enumerate() {
                let id = panels.len() + 1;
                panels.push(panel(metric, id, column * PANEL_WIDTH, y));
            }
            y += PANEL_HEIGHT;
        }
    }
    let board = json!({
        "title": "Grail",
        "uid": "grail",
        "schemaVersion": 39,
        "editable": true,
        "refresh": "30s",
        "time": {"from": "now-24h", "to": "now"},
        "tags": ["grail"],
        "templating": {"list": [
            {"name": "datasource", "type": "datasource", "query": "prometheus"},
        ]},
        "panels": panels,
    });
    format!("{board:#}\n")
}

fn panel(metric: &Metric, id: usize, x: usize, y: usize) -> Value {
    let name = metric.name;
    // Who looks at a sum wants to know how fast it grows.
    let expression = match metric.kind {
        MetricKind::Gauge => name.to_owned(),
        MetricKind::Counter => format!("increase({name}[$__rate_interval])"),
        MetricKind::Summary => format!(
            "increase({name}_sum[$__rate_interval]) / increase({name}_count[$__rate_interval])"
        ),
    };
    let legend = match metric.label {
        Some(label) => format!("{{{{{label}}}}} {{{{instance}}}}"),
        None => "{{instance}}".to_owned(),
    };
    let unit = match metric.unit {
        Unit::Count => "short",
        Unit::Seconds => "s",
        Unit::Satoshis => "suffix: sat",
        Unit::Truth => "bool_yes_no",
    };
    let datasource = json!({"type": "prometheus", "uid": "${datasource}"});
    json!({
        "type": "timeseries",
        "id": id,
        "title": name,
        "description": metric.help,
        "datasource": datasource,
        "gridPos": {"x": x, "y": y, "w": PANEL_WIDTH, "h": PANEL_HEIGHT},
        "fieldConfig": {"defaults": {"unit": unit, "min": 0}, "overrides": []},
        "targets": [{
            "refId": "A",
            "datasource": datasource,
            "expr": expression,
            "legendFormat": legend,
        }],
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::collections::BTreeSet;

    use super::*;

    const BOARD: &str = include_str!("../../../../docs/operators/grafana.json");
    const ALERTS: &str = include_str!("../../../../docs/operators/alerts.yml");

    /// The metrics that a text names, as they are served.
    fn named(text: &str) -> BTreeSet<&str> {
        let is_part = |char: char| char.is_ascii_alphanumeric() || char == '_';
        let words = text.split(|char| !is_part(char));
        words.filter(|word| word.starts_with("grail_")).collect()
    }

    fn served() -> BTreeSet<String> {
        let names = metric::ALL.iter().flat_map(|metric| match metric.kind {
            MetricKind::Gauge | MetricKind::Counter => vec![metric.name.to_owned()],
            MetricKind::Summary => ["_sum", "_count"]
                .map(|part| format!("{}{part}", metric.name))
                .to_vec(),
        });
        names.collect()
    }

    #[test]
    fn the_committed_board_and_alerts_are_what_the_code_says() {
        assert!(BOARD == grafana(), "cargo xtask board");
        assert!(ALERTS == alerts(), "cargo xtask board");
    }

    #[test]
    fn every_metric_has_a_panel_and_no_panel_names_another() {
        let board: Value = serde_json::from_str(BOARD).unwrap();
        let mut shown = BTreeSet::new();
        let mut ids = BTreeSet::new();
        for panel in board["panels"].as_array().unwrap() {
            assert!(ids.insert(panel["id"].as_u64().unwrap()));
            for target in panel["targets"].as_array().into_iter().flatten() {
                let names = named(target["expr"].as_str().unwrap());
                assert!(!names.is_empty(), "{panel}");
                shown.extend(names.into_iter().map(str::to_owned));
            }
        }
        assert_eq!(shown, served());
    }

    #[test]
    fn alerts_name_metrics_that_there_are() {
        let served = served();
        let expressions = ALERTS.lines().filter(|line| line.contains("expr: "));
        let mut count = 0;
        for line in expressions {
            let names = named(line);
            assert!(!names.is_empty() || line.contains("up{job="), "{line}");
            for name in names {
                assert!(served.contains(name), "{line}");
                count += 1;
            }
        }
        assert!(count > 20);
    }

    #[test]
    fn names_are_given_once() {
        let names: BTreeSet<_> = metric::ALL.iter().map(|metric| metric.name).collect();
        assert_eq!(names.len(), metric::ALL.len());
    }
}
