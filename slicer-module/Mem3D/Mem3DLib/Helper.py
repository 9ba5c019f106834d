"""The helper process: runs the engine for the process that started it. `python Helper.py`, messages on stdin, stdout.

It needs numpy and nothing of Slicer, and ends when the other end of the line is gone.
"""

import faulthandler
import os
import sys

if __package__ in (None, ""):  # started as a program
    sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))

from Mem3DLib import Native
from Mem3DLib.Channel import Channel, openShared
from Mem3DLib.Engine import Engine
from Mem3DLib.Errors import UserError
from Mem3DLib.Settings import Settings


def serve(channel, engine):
    """Answers each ("name", arguments, named) by ("result", value) or ("error", class name, text), in order. During a
    propagation it sends ("slice", progress), and goes on when ("goOn", True) comes back."""

    def onSlice(progress):
        channel.send(("slice", tuple(progress)))
        return channel.receive()[1]

    while True:
        try:
            name, arguments, named = channel.receive()
        except EOFError:
            return
        try:
            if name == "start":
                result = engine.start(Settings(**named))
                result["helper"] = True
            elif name == "openSession":
                path, shape, dtype = arguments[0]
                engine.openSession(openShared(path).view(dtype).reshape(shape), *arguments[1:])
                result = None
            elif name == "share":
                channel.buffer = openShared(arguments[0])
                result = None
            elif name == "propagate":
                result = engine.call(name, *arguments, onSlice=onSlice, **named)
            else:
                result = engine.call(name, *arguments, **named)
        except EOFError:  # the other end went away in the middle of a propagation
            return
        except Exception as error:  # noqa: BLE001 - all of them go to the other side
            known = isinstance(error, (Native.Error, UserError))
            text = str(error) if known else "%s: %s" % (type(error).__name__, error)
            channel.send(("error", type(error).__name__, text))
        else:
            channel.send(("result", result))




def main():
    faulthandler.enable()
    # Whatever a library prints must not get into the messages.
    line = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    engine = Engine()
    try:
        serve(Channel(sys.stdin.buffer, line), engine)
    except BrokenPipeError:
        pass
    finally:
        engine.close()


if __name__ == "__main__":
    main()
