//! `/healthz`.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// How well something is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum HealthStatus {
    /// As it should be.
    Ok,
    /// Works, with less than it should have.
    Degraded,
    /// Does not work.
    Failing,
}

/// One part of the backend.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Component {
    /// Its name.
    pub name: String,
    /// How it is.
    pub status: HealthStatus,
    /// Why, in words.
    pub detail: String,
}

/// The backend's health: the worst of its parts.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Health {
    /// The worst status of the components.
    pub status: HealthStatus,
    /// Every part.
    pub components: Vec<Component>,
}

impl Health {
    /// The health of these parts.
    pub fn of(components: Vec<Component>) -> Self {
        let worst = components.iter().map(|component| component.status).max();
        Self {
            status: worst.unwrap_or(HealthStatus::Ok),
            components,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_worst_component_decides() {
        let component = |status| Component {
            name: "scan".into(),
            status,
            detail: String::new(),
        };
        let health = Health::of(vec![
            component(HealthStatus::Ok),
            component(HealthStatus::Failing),
            component(HealthStatus::Degraded),
        ]);
        assert_eq!(health.status, HealthStatus::Failing);
        assert_eq!(Health::of(Vec::new()).status, HealthStatus::Ok);
    }
}
