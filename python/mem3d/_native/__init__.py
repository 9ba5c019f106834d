"""The thin binding of mem3d.h, one file with the Slicer module's: copied here when the wheel is built."""
