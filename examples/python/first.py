import mem3d
import nibabel

session = mem3d.Session(nibabel.load("examples/demo/data/sts_ct_012.nii.gz"))
session.extreme_points([[26, 84, 53], [26, 72, 106], [26, 53, 80], [26, 100, 69]])  # depth, height, width
session.propagate(progress=True)
print(session.suggest())  # the slice whose correction gains most
nibabel.save(session.to_nibabel(), "tumour.nii.gz")
