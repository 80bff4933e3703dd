//! The sky: where the sun stands, what a roof gets from it, clouds and outdoor temperature.

use std::f64::consts::PI;

use crate::{clock::Seconds, random};

const TILT: f64 = 35.0 * PI / 180.0;

/// Share of its rated power that a south-facing roof gives, 0–1, at cloud cover 0–1.
pub(crate) fn roof_share(lat: f64, lon: f64, time: Seconds, cloud_cover: f64) -> f64 {
    let (elevation, hour_angle, declination) = position(lat, lon, time);
    if elevation <= 0.0 {
        return 0.0;
    }
    let sin_elevation = elevation.sin();
    // Haurwitz clear-sky irradiance on the flat, W/m².
    let flat = 1098.0 * sin_elevation * (-0.057 / sin_elevation).exp();
    let clear = 1.0 - 0.85 * cloud_cover;
    let diffuse = flat * (0.15 + 0.25 * cloud_cover) * (1.0 - 0.5 * cloud_cover);
    let beam = flat * 0.85 * clear * clear / sin_elevation.max(0.05);
    // A roof tilted to the south sees the sun as a flat roof does at a latitude that much lower.
    let tilted = lat.to_radians() - TILT;
    let incidence =
        tilted.sin() * declination.sin() + tilted.cos() * declination.cos() * hour_angle.cos();
    ((beam * incidence.max(0.0) + diffuse) / 1000.0 * 0.92).clamp(0.0, 1.0)
}

/// Elevation, hour angle and declination in radians.
fn position(lat: f64, lon: f64, time: Seconds) -> (f64, f64, f64) {
    let days = time as f64 / 86_400.0;
    // 1970 began ten days after a solstice.
    let year_angle = 2.0 * PI * (days + 10.0) / 365.25;
    let declination = -23.44_f64.to_radians() * year_angle.cos();
    let solar_hours = (days.rem_euclid(1.0)) * 24.0 + lon / 15.0;
    let hour_angle = (solar_hours - 12.0) * PI / 12.0;
    let lat = lat.to_radians();
    let sine = lat.sin() * declination.sin() + lat.cos() * declination.cos() * hour_angle.cos();
    (sine.clamp(-1.0, 1.0).asin(), hour_angle, declination)
}

/// Cloud cover, 0–1: slow weather with quick clouds in it.
pub(crate) fn cloud_cover(seed: u64, time: Seconds) -> f64 {
    let weather = random::smooth(random::fork(seed, 11), time, 4 * 3600);
    let quick = random::smooth(random::fork(seed, 12), time, 240);
    let broken = 1.0 - (2.0 * weather - 1.0).abs();
    (weather + (quick - 0.5) * 0.7 * broken).clamp(0.0, 1.0)
}

/// Outdoor temperature, °C: coldest in January and before dawn.
pub(crate) fn outdoor_temp(seed: u64, mean: f64, time: Seconds, local_hour: f64) -> f64 {
    let year = 2.0 * PI * (time as f64 / 86_400.0 - 20.0) / 365.25;
    let day = 2.0 * PI * (local_hour - 4.5) / 24.0;
    let weather = random::smooth(random::fork(seed, 13), time, 36 * 3600) - 0.5;
    let breeze = random::smooth(random::fork(seed, 14), time, 600) - 0.5;
    mean - 9.0 * year.cos() - 3.5 * day.cos() + 7.0 * weather + 0.4 * breeze
}

#[cfg(test)]
mod tests {
    use super::*;

    const MIDSUMMER: Seconds = 1_782_043_200; // 2026-06-21T12:00:00Z
    const MIDWINTER: Seconds = 1_797_854_400; // 2026-12-21T12:00:00Z

    #[test]
    fn the_sun_is_up_by_day_and_down_by_night() {
        for noon in [MIDSUMMER, MIDWINTER] {
            assert!(roof_share(52.0, 5.0, noon, 0.0) > 0.2);
            assert_eq!(roof_share(52.0, 5.0, noon + 12 * 3600, 0.0), 0.0);
        }
        assert!(roof_share(52.0, 5.0, MIDSUMMER, 0.0) > roof_share(52.0, 5.0, MIDWINTER, 0.0));
    }

    #[test]
    fn noon_elevation_follows_latitude_and_season() {
        let (summer, ..) = position(52.0, 0.0, MIDSUMMER);
        let (winter, ..) = position(52.0, 0.0, MIDWINTER);
        assert!(
            (summer.to_degrees() - 61.4).abs() < 1.0,
            "{}",
            summer.to_degrees()
        );
        assert!(
            (winter.to_degrees() - 14.6).abs() < 1.0,
            "{}",
            winter.to_degrees()
        );
    }

    #[test]
    fn clouds_cost_light() {
        let clear = roof_share(48.0, 11.0, MIDSUMMER, 0.0);
        let grey = roof_share(48.0, 11.0, MIDSUMMER, 1.0);
        assert!(grey > 0.0 && grey < clear / 2.0, "{clear} {grey}");
    }
}
