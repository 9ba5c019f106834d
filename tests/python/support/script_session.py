"""One session on one volume, as a script has it, for tests of what it keeps. Import it after headless.start()."""

from Mem3DLib.Native import AXIS_DEPTH, AXIS_HEIGHT, AXIS_WIDTH, SCRIBBLE
from Mem3DTesting import STROKE, OneSession, ball, setVoxels


class Session(OneSession):
    def draw(self, number=6):
        self.logic.interact(SCRIBBLE, self.ras([[number, *point[1:]] for point in STROKE]), axis=AXIS_DEPTH)

    def mask(self, segmentID="a"):
        return self.logic.state(segmentID).engineMask.full() != 0

    def annotated(self):
        return [self.logic.state().annotated.get(axis, []) for axis in (AXIS_DEPTH, AXIS_HEIGHT, AXIS_WIDTH)]

    def load(self):
        """Voxels that the segment holds before anything is drawn; gives them."""
        start = ball() > 0
        start[6] = False
        setVoxels(self.segmentation, "a", self.volume, start)
        return start
