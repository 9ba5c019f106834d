"""The one thread that talks to the engine. What is to be done there is queued; what is to be done with the results
happens on the main thread, whenever that calls poll() - from a timer in Slicer, from wait() in a script.

One thread for all calls: libtorch keeps plans and caches per thread. Needs the standard library only.
"""

import atexit
import queue
import threading
import time

# How long poll() stands aside each time. Slicer's main thread keeps the interpreter lock while it waits for events
# (PythonQt does not let go of it): the worker advances only while Python on the main thread sleeps.
BREATH_SECONDS = 0.0005


class Job:
    """One thing to be done; cancel() asks it to stop at its next slice."""

    def __init__(self, work, onDone, onError, onProgress):
        self.work = work
        self.onDone = onDone
        self.onError = onError
        self.onProgress = onProgress
        self.cancelled = False
        self.result = None
        self.error = None
        self.startedAt = time.monotonic()
        self._progress = None

    def cancel(self):
        self.cancelled = True

    def report(self, progress):
        """For the work, on its thread: notes how far it is, and returns whether to go on."""
        self._progress = progress
        return not self.cancelled

    def takeProgress(self):
        progress, self._progress = self._progress, None
        return progress


class Worker:
    """Runs `work(job)` of each job on its thread, in order; results come out of poll()."""

    def __init__(self):
        self._jobs = queue.Queue()
        self._finished = queue.Queue()
        self._waiting = []  # all jobs not delivered yet, in order; main thread only
        self._thread = None
        self.onBusyChanged = None  # called with whether there is anything to wait for

    def run(self, work, onDone=None, onError=None, onProgress=None):
        """Queues `work(job)`. Later, on the main thread: `onDone(its result)`, or `onError(exception)`; meanwhile
        `onProgress(the last progress)`."""
        job = Job(work, onDone, onError, onProgress)
        self._waiting.append(job)
        if self._thread is None:
            self._thread = threading.Thread(target=self._serve, name="Mem3D engine", daemon=True)
            self._thread.start()
            # A thread inside the engine must not outlive the interpreter: it takes the program down.
            atexit.register(self.close)
        self._jobs.put(job)
        if len(self._waiting) == 1 and self.onBusyChanged:
            self.onBusyChanged(True)
        return job

    @property
    def busy(self):
        return bool(self._waiting)

    def waitsFor(self, job):
        """Whether the job's result was not delivered yet."""
        return job in self._waiting

    def cancel(self):
        """Asks everything that runs or waits to stop."""
        for job in self._waiting:
            job.cancel()

    def poll(self):
        """Delivers what is finished and how far the rest is, and lets the worker go on; on the main thread."""
        if self._waiting:
            time.sleep(BREATH_SECONDS)
        for job in list(self._waiting):
            progress = job.takeProgress()
            if progress is not None and job.onProgress:
                job.onProgress(progress)
        while True:
            try:
                job = self._finished.get_nowait()
            except queue.Empty:
                return
            self._waiting.remove(job)
            if not self._waiting and self.onBusyChanged:
                self.onBusyChanged(False)
            if job.error is None:
                if job.onDone:
                    job.onDone(job.result)
            elif job.onError:
                job.onError(job.error)
            else:
                raise job.error

    def wait(self, timeout=None):
        """Polls until nothing is left to do; whether that is so in the end."""
        end = None if timeout is None else time.monotonic() + timeout
        while self._waiting:
            if end is not None and time.monotonic() > end:
                return False
            self.poll()
            if self._waiting:
                time.sleep(0.002)
        return True

    def close(self, timeout=30):
        """Cancels everything, drops the results and ends the thread; whether it has ended."""
        for job in self._waiting:
            job.cancel()
        self._waiting = []
        thread, self._thread = self._thread, None
        if thread is None:
            return True
        atexit.unregister(self.close)
        self._jobs.put(None)
        thread.join(timeout)
        self._finished = queue.Queue()
        return not thread.is_alive()

    def _serve(self):
        finished = self._finished
        while True:
            job = self._jobs.get()
            if job is None:
                return
            try:
                job.result = job.work(job)
            except Exception as error:  # noqa: BLE001 - the main thread decides what to do with it
                job.error = error
            finished.put(job)


class InlineWorker:
    """The same for scripts that have nothing else to do: run() does it at once, and raises what goes wrong."""

    busy = False
    onBusyChanged = None

    def run(self, work, onDone=None, onError=None, onProgress=None):
        job = Job(work, onDone, onError, onProgress)
        if onProgress:

            def report(progress):
                onProgress(progress)
                return not job.cancelled

            job.report = report
        job.result = work(job)
        if onDone:
            onDone(job.result)
        return job

    def waitsFor(self, job):
        return False

    def cancel(self):
        pass

    def poll(self):
        pass

    def wait(self, timeout=None):
        return True

    def close(self, timeout=None):
        return True
