"""The rivals of the paper's Table 1, trained and measured on the same data: docs/evaluation.md.

| module | |
|---|---|
| `grid` | the grid that the networks work on: a region of a volume, slices first, of limited size |
| `data` | targets of folders with images and labels; samples for training |
| `interactions` | simulated sessions: annotated slices, seeds, geodesic distances, the next slice |
| `unet3d` | Interactive 3D U-Net |
| `deepigeos` | DeepIGeoS: two networks and geodesic distance maps |
| `models` | builds a rival by name and size; `python -m rivals.models` prints parameters and GMAC |
| `train` | `python -m rivals.train`: trains one of them |
| `predict` | `python -m rivals.predict`: answers recorded rounds |
"""
