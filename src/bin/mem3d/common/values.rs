//! Values of options.

/// Number of an axis, or its name.
pub fn parse_axis(text: &str) -> std::result::Result<i64, String> {
    let names = ["depth", "height", "width"];
    match (names.iter().position(|name| *name == text), text.parse()) {
        (Some(at), _) => Ok(at as i64),
        (None, Ok(number @ 0..=2)) => Ok(number),
        _ => Err("give 0 (depth), 1 (height) or 2 (width)".into()),
    }
}

/// Two intensities, the lower first.
pub fn parse_window(text: &str) -> std::result::Result<(f64, f64), String> {
    let numbers: Vec<f64> = text.split(',').filter_map(|s| s.trim().parse().ok()).collect();
    match numbers[..] {
        [low, high] if low < high && low.is_finite() && high.is_finite() => Ok((low, high)),
        _ => Err("give two numbers, the lower first, e.g. -160,240".into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn axes_have_numbers_and_names() {
        assert_eq!(["0", "1", "2", "depth", "width"].map(|text| parse_axis(text).unwrap()), [0, 1, 2, 0, 2]);
        assert!(
            ["3", "-1", "", "axial", "Depth "].iter().all(|text| parse_axis(text).unwrap_err().contains("0 (depth)"))
        );
    }

    #[test]
    fn windows_are_two_ascending_numbers() {
        assert_eq!(parse_window("-160, 240"), Ok((-160.0, 240.0)));
        for bad in ["", "1", "2,1", "1,2,3", "a,b", "nan,1"] {
            assert!(parse_window(bad).is_err(), "{bad}");
        }
    }
}
