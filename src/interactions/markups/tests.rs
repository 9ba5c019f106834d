//! Tests of the markups of 3D Slicer.

use super::*;
use crate::volume::{Geometry, SliceAxis, VoxelData};

/// Oblique: width along (0.8, 0.6, 0), height along (-0.6, 0.8, 0), depth upwards.
fn volume() -> Volume {
    let geometry = Geometry {
        spacing_mm: [3.0, 1.0, 0.5],
        origin_mm: [10.0, -20.0, 5.0],
        direction: [[0.0, 0.0, 1.0], [-0.6, 0.8, 0.0], [0.8, 0.6, 0.0]],
    };
    Volume::new([6, 20, 30], VoxelData::U8(vec![0; 3600]), geometry).unwrap()
}

fn position(index: [f64; 3], ras: bool) -> String {
    let [l, p, s] = volume().geometry().position_lps(index);
    if ras { format!("[{}, {}, {s}]", -l, -p) } else { format!("[{l}, {p}, {s}]") }
}

fn markup(kind: &str, points: &[([f64; 3], &str)], ras: bool) -> String {
    let points: Vec<_> = points
        .iter()
        .map(|(p, d)| format!(r#"{{"label": "F-1", "description": "{d}", "position": {}}}"#, position(*p, ras)))
        .collect();
    let system = if ras { "RAS" } else { "LPS" };
    format!(
        r#"{{"markups": [{{"type": "{kind}", "coordinateSystem": "{system}", "coordinateUnits": "mm",
                "controlPoints": [{}]}}]}}"#,
        points.join(", ")
    )
}

fn read(name: &str, text: &str, options: &MarkupOptions) -> Result<RecordedInteractions> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join(name);
    std::fs::write(&path, text).unwrap();
    crate::interactions::read(&[path], &volume(), options)
}

fn drawn(recorded: &RecordedInteractions) -> Vec<&Interaction> {
    let steps = recorded.rounds[0].steps.iter();
    steps.map(|s| if let Step::Draw(i) = s { i } else { panic!("{s:?}") }).collect()
}

fn close(i: &Interaction, expected: &[[f64; 3]]) {
    let Stroke::Points { points, .. } = &i.stroke else { panic!() };
    assert_eq!(points.len(), expected.len());
    for (a, b) in points.iter().flatten().zip(expected.iter().flatten()) {
        assert!((a - b).abs() < 1e-9, "{points:?} {expected:?}");
    }
}

#[test]
fn names_give_segment_sign_and_extreme_points() {
    let table = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/golden/markup_names.csv");
    let table = std::fs::read_to_string(table).unwrap();
    for line in table.lines().skip(1) {
        let [name, segment, negative, extreme] = line.split(',').collect::<Vec<_>>()[..] else { panic!("{line}") };
        let expected = Named { segment: segment.into(), positive: negative == "0", extreme: extreme == "1" };
        assert_eq!(Named::parse(name), expected, "{name}");
    }
    let of = |stem: &str| Named::of_file(stem, Some("ct_1")).segment;
    assert_eq!([of("ct_1_liver"), of("ct_1"), of("liver"), of("ct_12")], ["liver", "ct_1", "liver", "ct"]);
    // Of a volume whose name is the segment's.
    for (stem, segment, positive, extreme) in [
        ("ct_1_negative", "ct_1", false, false),
        ("ct_1-", "ct_1", false, false),
        ("ct_1_extreme_2", "ct_1", true, true),
        ("ct_1_2", "ct_1", true, false),
        ("ct_1_", "ct_1", true, false),
        ("ct_1_liver-", "liver", false, false),
    ] {
        let expected = Named { segment: segment.into(), positive, extreme };
        assert_eq!(Named::of_case(stem, "ct_1"), Some(expected), "{stem}");
    }
    assert!(["ct_12", "ct_1negative", "ct_1-liver", "liver"].iter().all(|s| Named::of_case(s, "ct_1").is_none()));
}

#[test]
fn names_with_many_endings_are_read() {
    for (ending, positive, extreme) in [("_1", true, false), ("-negative", false, false), (" EXTREME", true, true)] {
        let expected = Named { segment: "liver".into(), positive, extreme };
        assert_eq!(Named::parse(&format!("liver{}", ending.repeat(100_000))), expected);
    }
    assert_eq!(Named::parse("\u{df}negative").segment, "\u{df}negative");
    assert_eq!(Named::parse("\u{1f9e0}\u{1f9e0}").segment, "\u{1f9e0}\u{1f9e0}");
}

#[test]
fn markups_continue_the_one_segment_of_a_session() {
    let text = markup("Fiducial", &[([2.0, 5.0, 7.0], "")], false);
    let mut p = read("spleen.mrk.json", &text, &MarkupOptions::default()).unwrap();
    let reason = p.clone().go_on(&[1, 2]).unwrap_err();
    assert!(reason.contains("the markups \"spleen\" are for; give an interactions file"), "{reason}");
    p.clone().go_on(&[]).unwrap();
    p.go_on(&[7]).unwrap();
    assert_eq!((p.segments[0].number, p.segments[0].name.as_str(), drawn(&p)[0].segment), (7, "spleen", 7));
    // Two names, and a name whose number a file states.
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    std::fs::write(at("liver.mrk.json"), &text).unwrap();
    std::fs::write(at("spleen.mrk.json"), &text).unwrap();
    std::fs::write(at("names.json"), r#"{"segments": [{"number": 2, "name": "spleen"}]}"#).unwrap();
    let read = |names: &[&str]| {
        let files: Vec<_> = names.iter().map(|name| at(name)).collect();
        crate::interactions::read(&files, &volume(), &MarkupOptions::default()).unwrap()
    };
    assert!(read(&["liver.mrk.json", "spleen.mrk.json"]).go_on(&[1]).unwrap_err().contains("\"liver\", \"spleen\""));
    let mut numbered = read(&["spleen.mrk.json", "names.json"]);
    numbered.go_on(&[1, 2]).unwrap();
    assert_eq!(drawn(&numbered)[0].segment, 2);
}

#[test]
fn points_are_clicks_in_either_coordinate_system() {
    for ras in [false, true] {
        let points = [([2.0, 5.0, 7.0], ""), ([2.2, 15.0, 20.0], "Negative"), ([1.9, 8.0, 9.0], "")];
        let p = read("liver.mrk.json", &markup("Fiducial", &points, ras), &MarkupOptions::default()).unwrap();
        assert_eq!(p.segments[0].name, "liver");
        let [yes, no] = drawn(&p)[..] else { panic!("{p:?}") };
        assert_eq!((yes.kind, yes.axis, yes.slice, yes.positive), (InteractionKind::Click, SliceAxis::Depth, 2, true));
        close(yes, &[[2.0, 5.0, 7.0], [2.0, 8.0, 9.0]]);
        assert!(!no.positive);
        close(no, &[[2.0, 15.0, 20.0]]);
    }
}

#[test]
fn points_that_are_not_placed_are_passed_over() {
    let placed = position([2.0, 5.0, 7.0], false);
    let read = |units: &str, position: &str, status: &str| {
        let text = format!(
            r#"{{"markups": [{{"type": "Fiducial", "coordinateSystem": "LPS", "coordinateUnits": {units},
                    "controlPoints": [{{"label": "F-1", "position": {placed}, "positionStatus": "defined"}},
                    {{"label": "F-2", "position": {position}, "positionStatus": "{status}"}}]}}]}}"#
        );
        read("liver.mrk.json", &text, &MarkupOptions::default())
    };
    for status in ["undefined", "preview", "missing"] {
        for position in ["\"\"", "null", "[]", "[1, 2, 3]"] {
            close(drawn(&read("\"mm\"", position, status).unwrap())[0], &[[2.0, 5.0, 7.0]]);
        }
    }
    let text = read("\"mm\"", "\"\"", "defined").unwrap_err().to_string();
    assert!(text.contains("F-2") && text.contains("place it"), "{text}");
    // Units as a coded entry, as 3D Slicer writes them too.
    assert!(read(r#"["mm", "UCUM", "millimeter"]"#, "\"\"", "missing").is_ok());
    let text = read(r#"["cm", "UCUM", "centimeter"]"#, "\"\"", "missing").unwrap_err().to_string();
    assert!(text.contains("in cm"), "{text}");
    let nothing = r#"{"markups": [{"type": "Fiducial", "controlPoints": []}]}"#;
    let text = super::tests::read("a.mrk.json", nothing, &MarkupOptions::default()).unwrap_err().to_string();
    assert!(text.contains("no point") && !text.contains("axis"), "{text}");
}

#[test]
fn extreme_points_and_curves_on_any_axis() {
    let points: Vec<_> = [[0.0, 9.0, 4.0], [5.0, 9.0, 20.0], [2.0, 9.0, 1.0], [3.0, 9.0, 28.0]].map(|p| (p, "")).into();
    let p = read("a extreme.mrk.json", &markup("Fiducial", &points, false), &MarkupOptions::default()).unwrap();
    let i = drawn(&p)[0];
    assert_eq!((i.kind, i.axis, i.slice), (InteractionKind::ExtremePoints, SliceAxis::Height, 9));
    let options = MarkupOptions { radius_mm: 2.5, ..MarkupOptions::default() };
    let p = read("a-.mrk.json", &markup("ClosedCurve", &points, true), &options).unwrap();
    let i = drawn(&p)[0];
    assert_eq!((i.kind, i.positive), (InteractionKind::Scribble, false));
    close(i, &[[0.0, 9.0, 4.0], [5.0, 9.0, 20.0], [2.0, 9.0, 1.0], [3.0, 9.0, 28.0], [0.0, 9.0, 4.0]]);
    assert!(matches!(i.stroke, Stroke::Points { radius_mm: 2.5, .. }));
}

#[test]
fn clicks_on_several_slices_need_an_axis() {
    let points = [([1.0, 5.0, 7.0], ""), ([4.0, 15.0, 20.0], "")];
    let text = markup("Fiducial", &points, false);
    let message = read("a.mrk.json", &text, &MarkupOptions::default()).unwrap_err().to_string();
    assert!(message.contains("no common slice") && message.contains("name the axis"), "{message}");
    let options = MarkupOptions { axis: Some(SliceAxis::Depth), ..MarkupOptions::default() };
    let p = read("a.mrk.json", &text, &options).unwrap();
    assert_eq!(drawn(&p).iter().map(|i| i.slice).collect::<Vec<_>>(), [1, 4]);
}

fn region(center: [f64; 3], size: [f64; 3]) -> String {
    // Its edges lie along the volume's width, height and depth: the columns of the matrix.
    format!(
        r#"{{"markups": [{{"type": "ROI", "coordinateSystem": "LPS", "roiType": "Box", "center": {},
                "orientation": [0.8, -0.6, 0, 0.6, 0.8, 0, 0, 0, 1], "size": {size:?}, "controlPoints": []}}]}}"#,
        position(center, false)
    )
}

#[test]
fn a_region_is_a_box_on_its_middle_slice() {
    // 5 mm along width are 10 voxels, 8 mm along height 8, 6 mm along depth 2.
    let p = read("a.mrk.json", &region([3.0, 10.0, 15.0], [5.0, 8.0, 6.0]), &MarkupOptions::default()).unwrap();
    let i = drawn(&p)[0];
    assert_eq!((i.kind, i.axis, i.slice), (InteractionKind::Box, SliceAxis::Depth, 3));
    close(i, &[[3.0, 6.0, 10.0], [3.0, 14.0, 20.0]]);
    // Named otherwise, and reaching out of the volume: 4 voxels along depth, cut at -0.5.
    let options = MarkupOptions { axis: Some(SliceAxis::Height), ..MarkupOptions::default() };
    let p = read("a.mrk.json", &region([1.0, 10.0, 15.0], [5.0, 8.0, 12.0]), &options).unwrap();
    close(drawn(&p)[0], &[[-0.5, 10.0, 10.0], [3.0, 10.0, 20.0]]);
}

#[test]
fn coordinate_systems_are_read_as_by_slicer() {
    let point = [([2.0, 5.0, 7.0], "")];
    let read = |system: &str, ras: bool| {
        let text = markup("Fiducial", &point, ras);
        let text = text.replace(if ras { "\"RAS\"" } else { "\"LPS\"" }, system);
        let text = text.replace("\"F-1\"", "null");
        read("a.mrk.json", &text, &MarkupOptions::default())
    };
    for (system, ras) in [("\"0\"", true), ("\"1\"", false), ("\"\"", false), ("null", false)] {
        close(drawn(&read(system, ras).unwrap())[0], &[[2.0, 5.0, 7.0]]);
    }
    for other in ["\"ras\"", "\"IJK\"", "0"] {
        let text = read(other, false).unwrap_err().to_string();
        assert!(text.contains(&format!("system {other} is unknown")), "{text}");
    }
}

#[test]
fn the_control_point_of_a_box_is_its_middle() {
    let at = |center, point| {
        let text = region(center, [5.0, 8.0, 6.0]);
        let point = format!("\"controlPoints\": [{{\"position\": {}}}]", position(point, false));
        read("a.mrk.json", &text.replace("\"controlPoints\": []", &point), &MarkupOptions::default())
    };
    for center in [[3.0, 10.0, 15.0], [1.0, 3.0, 4.0]] {
        close(drawn(&at(center, [3.0, 10.0, 15.0]).unwrap())[0], &[[3.0, 6.0, 10.0], [3.0, 14.0, 20.0]]);
    }
    for wrong in ["[0, 0, 0, 0, 0, 0, 0, 0, 0]", "[0.8, 0, 0, 0.6, 0.8, 0, 0, 0, 1]"] {
        let text = region([3.0, 10.0, 15.0], [5.0, 8.0, 6.0]);
        let text = text.replace("[0.8, -0.6, 0, 0.6, 0.8, 0, 0, 0, 1]", wrong);
        let text = read("a.mrk.json", &text, &MarkupOptions::default()).unwrap_err().to_string();
        assert!(text.contains("no rotation"), "{text}");
    }
}

#[test]
fn what_is_no_json_is_named() {
    let message = |name: &str, text: &str| read(name, text, &MarkupOptions::default()).unwrap_err().to_string();
    for (name, text, word) in [
        ("a.fcsv", "# Markups fiducial file version = 4.11\n", "save it as .mrk.json"),
        ("a.mrk.json", "{\"markups\": [{\"type\": NaN}]}", "NaN and Infinity are no numbers"),
        ("a.mrk.json", "{\"markups\": [", "the text ends early"),
        ("a.mrk.json", "", "is empty"),
        ("mask.nii.gz", "\u{1f}", "under \"slice_masks\""),
        ("mask", "NRRD0004\n", "this is an NRRD file"),
        ("a.json", "points", "this is not JSON"),
    ] {
        let message = message(name, text);
        assert!(message.contains(word), "{message}");
    }
}

#[test]
fn what_cannot_be_used_is_reported() {
    let message = |name: &str, text: &str| read(name, text, &MarkupOptions::default()).unwrap_err().to_string();
    let away = message("a.mrk.json", &region([3.0, 100.0, 15.0], [5.0, 8.0, 6.0]));
    assert!(away.contains("outside the volume"), "{away}");
    let away = message("a.mrk.json", &markup("Curve", &[([2.0, 5.0, 30.0], "")], false));
    assert!(away.contains("markups[0] (Curve)") && away.contains("outside"), "{away}");
    let negative = message("a-.mrk.json", &region([3.0, 10.0, 15.0], [5.0, 8.0, 6.0]));
    assert!(negative.contains("always marks the target"), "{negative}");
    let region = |size| region([3.0, 10.0, 15.0], size);
    let inside_out = region([5.0, 8.0, 6.0]).replace("\"size\"", "\"insideOut\": true, \"size\"");
    assert!(message("a.mrk.json", &inside_out).contains("inside out"));
    for size in [[0.0; 3], [5.0, 0.0, 0.0], [5.0, 8.0, -1.0]] {
        assert!(message("a.mrk.json", &region(size)).contains("size of the ROI"), "{size:?}");
    }
    let plane = message("a.mrk.json", &markup("Plane", &[([2.0, 5.0, 3.0], "")], false));
    assert!(plane.contains("type Plane"), "{plane}");
    let none = message("a.mrk.json", &markup("Fiducial", &[], false));
    assert!(none.contains("no point"), "{none}");
    let away = markup("Line", &[([2.0, 5.0, 3.0], "")], false)
        .replace("\"position\"", "\"positionStatus\": \"undefined\", \"position\"");
    assert!(message("a.mrk.json", &away).contains("none of its control points is placed"));
    let text = markup("Fiducial", &[([2.0, 5.0, 3.0], "")], false);
    assert!(message("a.mrk.json", &text.replace("LPS", "XYZ")).contains("XYZ"));
    assert!(message("a.mrk.json", &text.replace("\"mm\"", "\"m\"")).contains("in m;"));
}
