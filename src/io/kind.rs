//! What a file is that cannot be read, so that a refusal names the cause and not the first check that fails.

/// A kind of file by its first bytes: where they stand, what they are, and what to say.
const BY_BYTES: [(usize, &[u8], &str); 25] = [
    (0, b"PK\x03\x04", "this is a ZIP archive; unpack it and give the file or folder inside"),
    (0, b"7z\xbc\xaf\x27\x1c", "this is a 7z archive; unpack it and give the file or folder inside"),
    (0, b"Rar!", "this is a RAR archive; unpack it and give the file or folder inside"),
    (257, b"ustar", "this is a TAR archive; unpack it and give the file or folder inside"),
    (0, b"\x1f\x8b", "this is packed with gzip; unpack it (gunzip) and give the file inside"),
    (0, b"BZh", "this is packed with bzip2; unpack it (bunzip2) and give the file inside"),
    (0, b"\xfd7zXZ", "this is packed with xz; unpack it (unxz) and give the file inside"),
    (0, b"\x28\xb5\x2f\xfd", "this is packed with zstd; unpack it (unzstd) and give the file inside"),
    (0, b"version https://git-lfs", "this is only a pointer of Git LFS, not the data; fetch them (git lfs pull)"),
    (0, b"/annex/objects", "this is only a pointer of git-annex, not the data; fetch them (git annex get)"),
    (344, b"n+1\0", "this is a NIfTI file; name it .nii, or .nii.gz where it is packed"),
    (0, b"NRRD0", "this is an NRRD file; give it as a volume, named .nrrd"),
    (0, b"\xef\xbb\xbfNRRD0", "an editor put a mark (BOM) before its first line; save it again without it"),
    (128, b"DICM", "this is a DICOM file; give it without the ending of another format, or its folder"),
    (0, b"\x89HDF", "this is an HDF5 or MINC file; save it as .nii.gz or .nrrd with the program that wrote it"),
    (0, b"CDF\x01", "this is a MINC file; convert it to .nii.gz (mnc2nii)"),
    (0, b"MATLAB 5.0", "this is a MATLAB file; write the volume as .nii.gz there (niftiwrite)"),
    (0, b"\x93NUMPY", "this is a numpy array, which has no geometry; write it as .nii.gz (nibabel) or .nrrd (pynrrd)"),
    (0, b"\x89PNG", "this is a picture (PNG), not a volume; load the stack in 3D Slicer and save it as .nrrd"),
    (0, b"\xff\xd8\xff", "this is a picture (JPEG), not a volume; load the stack in 3D Slicer and save it as .nrrd"),
    (0, b"II*\0", "this is a TIFF file; load it in 3D Slicer, check its spacing and save it as .nrrd"),
    (0, b"MM\0*", "this is a TIFF file; load it in 3D Slicer, check its spacing and save it as .nrrd"),
    (0, b"# vtk DataFile", "this is a VTK file; load it in 3D Slicer and save it as .nrrd"),
    (0, b"ObjectType", "this is MetaImage (.mha, .mhd); load it in 3D Slicer or SimpleITK and save it as .nrrd"),
    (0, b"# Markups fiducial", "this is a fiducial list (.fcsv); load it in 3D Slicer and save it as .mrk.json"),
];

/// A kind of file by the end of its name.
const BY_NAME: [(&str, &str); 21] = [
    (".mha", "MetaImage is not read; load it in 3D Slicer or SimpleITK and save it as .nrrd"),
    (".mhd", "MetaImage is not read; load it in 3D Slicer or SimpleITK and save it as .nrrd"),
    (
        ".hdr",
        "a NIfTI or ANALYZE in two files (.hdr and .img) is not read; save it as one .nii.gz (nibabel, 3D Slicer)",
    ),
    (
        ".img",
        "a NIfTI or ANALYZE in two files (.hdr and .img) is not read; save it as one .nii.gz (nibabel, 3D Slicer)",
    ),
    (".hdr.gz", "a NIfTI in two files (.hdr and .img) is not read; save it as one .nii.gz (nibabel, 3D Slicer)"),
    (".img.gz", "a NIfTI in two files (.hdr and .img) is not read; save it as one .nii.gz (nibabel, 3D Slicer)"),
    (".mgz", "FreeSurfer's format is not read; convert it to .nii.gz (mri_convert)"),
    (".mgh", "FreeSurfer's format is not read; convert it to .nii.gz (mri_convert)"),
    (".mnc", "MINC is not read; convert it to .nii.gz (mnc2nii)"),
    (".mif", "MRtrix' format is not read; convert it to .nii.gz (mrconvert)"),
    (".gipl", "GIPL is not read; load it in ITK-SNAP or SimpleITK and save it as .nii.gz"),
    (".npz", "numpy arrays have no geometry; write them as .nii.gz (nibabel) or .nrrd (pynrrd)"),
    (".vti", "VTK's format is not read; load it in 3D Slicer and save it as .nrrd"),
    (".raw", "raw voxels have no geometry; give the header that belongs to them (.nhdr)"),
    (".mrb", "this is a scene of 3D Slicer; save the volume or the markups in it as files of their own"),
    (".mrml", "this is a scene of 3D Slicer; give the files that it names"),
    (".vtp", "this is a surface; in 3D Slicer export the segmentation as labelmap"),
    (".stl", "this is a surface; in 3D Slicer export the segmentation as labelmap"),
    (".fcsv", "this is a fiducial list of older versions of 3D Slicer; load it there and save it as .mrk.json"),
    (".acsv", "this is an annotation of older versions of 3D Slicer; load it there and save it as .mrk.json"),
    (".csv", "tables of points are not read; give .json or the .mrk.json of 3D Slicer"),
];

/// What a file with these first bytes and this name is, and what to do; none where that is not known.
pub(crate) fn of(start: &[u8], name: &str) -> Option<&'static str> {
    if start.is_empty() {
        return Some("the file is empty; copy it again");
    }
    if start.iter().all(|byte| *byte == 0) {
        return Some("the file holds nothing but zeros, as after an interrupted copy; copy it again");
    }
    let text: Vec<u8> = start.iter().skip_while(|b| b.is_ascii_whitespace()).take(16).copied().collect();
    let text = text.to_ascii_lowercase();
    if [&b"<!doctype html"[..], b"<html", b"<head"].iter().any(|t| text.starts_with(t)) {
        return Some("this is a web page, as of a download that failed; download the file again");
    }
    if text.starts_with(b"{") {
        return Some("this is a JSON text, as of interactions, and no volume; give the volume before the interactions");
    }
    if start.get(8..10) == Some(b"{\"") {
        return Some("this is a model (safetensors), no volume; give it with --model");
    }
    if text.starts_with(b"<?xml") {
        return Some("this is an XML file; load it in the program that wrote it and save it as .nii.gz or .nrrd");
    }
    let by_bytes = BY_BYTES.iter().find(|(at, bytes, _)| start.get(*at..).is_some_and(|rest| rest.starts_with(bytes)));
    let name = name.to_lowercase();
    let by_name = || BY_NAME.iter().find(|(end, _)| name.ends_with(end)).map(|(_, what)| *what);
    match by_bytes {
        // Formats that are packed with gzip or ZIP, as a rule.
        Some((_, b"PK\x03\x04" | b"\x1f\x8b", what)) => by_name().or(Some(what)),
        Some((_, _, what)) => Some(what),
        None => by_name(),
    }
}

#[cfg(test)]
mod tests {
    use super::of;

    #[test]
    fn files_are_known_by_bytes_before_names() {
        let tar = [&[b'a'; 257][..], b"ustar\0"].concat();
        let nifti = [&[1; 344][..], b"n+1\0"].concat();
        for (start, name, word) in [
            (&b"PK\x03\x04..."[..], "a.nii.gz", "ZIP archive; unpack it"),
            (b"version https://git-lfs.github.com/spec/v1\n", "a.nrrd", "git lfs pull"),
            (b"\n <!DOCTYPE html><html>", "a.nii.gz", "web page"),
            (b"\xef\xbb\xbfNRRD0004\n", "a.nrrd", "mark (BOM)"),
            (b"", "a.nrrd", "is empty"),
            (b"{\"interactions\": []}", "a.json", "JSON text"),
            (b"\x40\0\0\0\0\0\0\0{\"__metadata__\"", "m.safetensors", "--model"),
            (&[0; 400], "a.nii", "nothing but zeros"),
            (&tar, "x", "TAR archive"),
            (&nifti, "a.img", "name it .nii"),
            (b"ObjectType = Image", "a", "MetaImage"),
            (b"NDims = 3", "a.MHD", "MetaImage"),
            (b"\x01\x02", "brain.mgz", "mri_convert"),
            (b"\x5c\x01\0\0", "brain.hdr", "two files"),
            (b"# Name = R", "R.acsv", "save it as .mrk.json"),
            (b"\x1f\x8b\x08", "brain.mgz", "mri_convert"),
            (b"PK\x03\x04", "a.npz", "numpy"),
        ] {
            assert!(of(start, name).is_some_and(|what| what.contains(word)), "{name} {word}");
        }
        assert_eq!(of(b"\x01\x02", "x"), None);
    }
}
