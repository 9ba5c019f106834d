//! Settings of an evaluation.

use mem3d::engine::SessionOptions;
use mem3d::eval::report::Setup;
use mem3d::{Error, Result};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::collections::BTreeSet;

/// Settings of an evaluation; a run can only be resumed with the same.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Settings {
    /// What is measured.
    #[serde(flatten)]
    pub setup: Setup,
    /// Options of every session.
    pub options: SessionOptions,
    /// Names of the cases to measure; empty for all.
    pub cases: Vec<String>,
    /// Labels to measure; empty for all.
    pub labels: Vec<u32>,
}

impl Settings {
    /// What is other than in `before`, a text for each field: `seed was 1, is 2`. The folder may be another, since data
    /// are moved and mounted elsewhere, and another machine may continue; seconds are then of both.
    ///
    /// # Errors
    /// [`Error::Internal`] when the settings cannot be encoded as JSON.
    pub fn differences(&self, before: &Settings) -> Result<Vec<String>> {
        let mut now = self.clone();
        now.setup.folder.clone_from(&before.setup.folder);
        now.setup.device.clone_from(&before.setup.device);
        now.setup.threads = before.setup.threads;
        let value = |settings: &Settings| serde_json::to_value(settings).map_err(|e| Error::Internal(e.to_string()));
        let mut found = Vec::new();
        compare("settings", &value(before)?, &value(&now)?, &mut found);
        Ok(found)
    }
}

/// Adds the fields that differ.
fn compare(name: &str, before: &Value, now: &Value, found: &mut Vec<String>) {
    match (before, now) {
        (Value::Object(before), Value::Object(now)) => {
            let names: BTreeSet<&String> = before.keys().chain(now.keys()).collect();
            for name in names {
                let of = |fields: &serde_json::Map<String, Value>| fields.get(name).cloned().unwrap_or_default();
                compare(name, &of(before), &of(now), found);
            }
        }
        _ if before != now => found.push(format!("{name} was {before}, is {now}")),
        _ => (),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn fields_that_differ_are_named() {
        let differ = |before: Value, now: Value| {
            let mut found = Vec::new();
            compare("settings", &before, &now, &mut found);
            found
        };
        let before = json!({"model": "a", "protocol": {"seed": 1, "axis": null}, "labels": [1, 2]});
        assert!(differ(before.clone(), before.clone()).is_empty());
        let now = json!({"model": "b", "protocol": {"seed": 2, "axis": null}, "labels": [1]});
        let expected = ["labels was [1,2], is [1]", "model was \"a\", is \"b\"", "seed was 1, is 2"];
        assert_eq!(differ(before, now), expected);
        assert_eq!(differ(json!({}), json!({"new": 1})), ["new was null, is 1"]);
    }
}
