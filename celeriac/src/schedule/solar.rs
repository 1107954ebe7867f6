//! What the sun does over a place.

mod sun;

use std::fmt;
use std::str::FromStr;

use self::sun::{Angle, Crossing};
use crate::error::{Error, Result};

/// Days that are looked ahead for an event that does not happen every day, as Celery does.
const SEARCHED_DAYS: i64 = 366;

/// What the sun does, under Celery's names.
///
/// Sunrise and sunset are those of the upper edge, with 34 minutes of arc of refraction; dawn
/// begins and dusk ends with the centre 6 (civil), 12 (nautical) or 18 (astronomical) degrees
/// below the horizon; at solar noon it is due south or north.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[allow(missing_docs, reason = "described above as what they are: names")]
pub enum SunEvent {
    DawnAstronomical,
    DawnNautical,
    DawnCivil,
    Sunrise,
    SolarNoon,
    Sunset,
    DuskCivil,
    DuskNautical,
    DuskAstronomical,
}

impl SunEvent {
    /// All events, as they follow each other on a day.
    pub const ALL: [Self; 9] = [
        Self::DawnAstronomical,
        Self::DawnNautical,
        Self::DawnCivil,
        Self::Sunrise,
        Self::SolarNoon,
        Self::Sunset,
        Self::DuskCivil,
        Self::DuskNautical,
        Self::DuskAstronomical,
    ];

    /// Returns Celery's name.
    pub const fn name(self) -> &'static str {
        match self {
            Self::DawnAstronomical => "dawn_astronomical",
            Self::DawnNautical => "dawn_nautical",
            Self::DawnCivil => "dawn_civil",
            Self::Sunrise => "sunrise",
            Self::SolarNoon => "solar_noon",
            Self::Sunset => "sunset",
            Self::DuskCivil => "dusk_civil",
            Self::DuskNautical => "dusk_nautical",
            Self::DuskAstronomical => "dusk_astronomical",
        }
    }

    const fn angle(self) -> Angle {
        match self {
            Self::DawnAstronomical => Angle::centre(Crossing::Rising, 18.0),
            Self::DawnNautical => Angle::centre(Crossing::Rising, 12.0),
            Self::DawnCivil => Angle::centre(Crossing::Rising, 6.0),
            Self::Sunrise => Angle::edge(Crossing::Rising),
            Self::SolarNoon => Angle::centre(Crossing::Transit, 0.0),
            Self::Sunset => Angle::edge(Crossing::Setting),
            Self::DuskCivil => Angle::centre(Crossing::Setting, 6.0),
            Self::DuskNautical => Angle::centre(Crossing::Setting, 12.0),
            Self::DuskAstronomical => Angle::centre(Crossing::Setting, 18.0),
        }
    }
}

impl fmt::Display for SunEvent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for SunEvent {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let mut all = Self::ALL.into_iter();
        all.find(|event| event.name() == text).ok_or_else(|| {
            let names = Self::ALL.map(Self::name).join(", ");
            Error::invalid(
                "solar, event",
                format!("one of {names}"),
                format!("{text:?}"),
            )
        })
    }
}

/// An event of the sun over a place, on every day that has it.
///
/// The time is right to the minute between 65 degrees south and north; nearer to the poles the
/// sun crosses the horizon so flatly that no formula is.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Solar {
    event: SunEvent,
    latitude: f64,
    longitude: f64,
}

impl Solar {
    /// Makes the schedule of an event over a place, in degrees north and degrees east.
    ///
    /// # Errors
    ///
    /// When latitude is not within -90 and 90, or longitude not within -180 and 180.
    pub fn new(event: SunEvent, latitude: f64, longitude: f64) -> Result<Self> {
        for (name, degrees, most) in [
            ("latitude", latitude, 90.0),
            ("longitude", longitude, 180.0),
        ] {
            if !(-most..=most).contains(&degrees) {
                return Err(Error::invalid(
                    format!("solar, {name}"),
                    format!("-{most} to {most} degrees"),
                    degrees.to_string(),
                ));
            }
        }
        Ok(Self {
            event,
            latitude,
            longitude,
        })
    }

    /// Returns the event.
    pub const fn event(&self) -> SunEvent {
        self.event
    }

    /// Returns degrees north.
    pub const fn latitude(&self) -> f64 {
        self.latitude
    }

    /// Returns degrees east.
    pub const fn longitude(&self) -> f64 {
        self.longitude
    }

    pub(super) fn next(&self, after: i64) -> Option<i64> {
        // Days are counted from solar noon to solar noon of the place; one more at either end,
        // as an event may be half a day from its noon, and the equation of time moves that.
        let today = sun::day_of(after, self.longitude);
        (today - 1..today + SEARCHED_DAYS)
            .filter_map(|day| sun::event(day, self.latitude, self.longitude, self.event.angle()))
            .find(|at| *at > after)
    }
}

impl fmt::Display for Solar {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (latitude, longitude) = (self.latitude, self.longitude);
        write!(f, "solar {} at {latitude}, {longitude}", self.event)
    }
}

#[cfg(test)]
mod tests;
