"""Real nodes in real processes over real DDS: how the tests start them and look on."""

from __future__ import annotations

import itertools
import os
import random
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

rclpy = pytest.importorskip("rclpy", reason="rclpy is not installed")

from lifecycle_msgs.msg import Transition  # noqa: E402
from lifecycle_msgs.srv import ChangeState, GetState  # noqa: E402
from rclpy.executors import SingleThreadedExecutor  # noqa: E402
from rclpy.node import Node  # noqa: E402

from fafnet_core.inference.segmenter import UNTRAINED  # noqa: E402
from fafnet_ros.dds import use_large_image_profile  # noqa: E402

# Domains above 101 reach into the ports that the system hands out.
_DOMAINS = itertools.cycle(random.sample(range(1, 101), 100))

PROJECT = Path(__file__).resolve().parents[2]

REPORT_OFTEN = "import fafnet_ros.diagnostics.state as state; state.REPORT_EVERY = 0.25"
"""Python runs this before a node, whose reports tests wait for all the time."""

_ASK_AGAIN = 0.5
"""Seconds after which a client that was never answered asks again."""


def _is_free(domain: int) -> bool:
    """Tell whether nobody on this machine is in a domain: its first participant takes this port."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.bind(("", 7400 + 250 * domain + 10))
        except OSError:
            return False
    return True


class Process:
    """A node of ours in a process of its own."""

    def __init__(self, command: list[str], environment: dict[str, str], log: Path) -> None:
        self._log = log
        self._is_interrupted = False
        with log.open("wb") as file:
            self._process = subprocess.Popen(
                command, env=environment, stdout=file, stderr=subprocess.STDOUT
            )

    @property
    def output(self) -> str:
        return self._log.read_text(errors="replace")

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def is_running(self) -> bool:
        return self._process.poll() is None

    def wait(self, timeout: float = 20.0) -> int:
        return self._process.wait(timeout)

    def interrupt(self, how: signal.Signals = signal.SIGINT) -> None:
        """Send the signal, once."""
        if self.is_running and not self._is_interrupted:
            self._is_interrupted = True
            self._process.send_signal(how)

    def stop(self, how: signal.Signals = signal.SIGINT) -> int:
        """Send the signal, unless one was sent, and return the exit status."""
        self.interrupt(how)
        try:
            return self._process.wait(timeout=20)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
            raise AssertionError(f"did not end within 20 s of {how.name}:\n{self.output}") from None


class Ros:
    """A ROS domain of its own, with processes in it and a node that looks on."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._processes: list[Process] = []
        self._participants: list[Node] = []
        os.environ["ROS_AUTOMATIC_DISCOVERY_RANGE"] = "LOCALHOST"
        use_large_image_profile()
        self.domain = next(domain for domain in _DOMAINS if _is_free(domain))
        self._clients: dict[str, Any] = {}
        self._context = rclpy.Context()
        rclpy.init(context=self._context, domain_id=self.domain)
        self.node = Node("onlooker", context=self._context)
        self._executor = SingleThreadedExecutor(context=self._context)
        self._executor.add_node(self.node)

    def start(
        self,
        executable: str,
        *,
        remap: dict[str, str] | None = None,
        params_file: Path | None = None,
        before: str = "",
        **parameters: Any,
    ) -> Process:
        """Start an executable of `fafnet_ros` with these parameters.

        The node has the smallest network unless a test says otherwise: what most tests are about
        does not depend on labels that mean something, and frames wait for no large one. `before` is
        Python that is run before the node.
        """
        options = [f"{name}:={target}" for name, target in (remap or {}).items()]
        room = "" if executable == "segment_node" else "cameras."
        command = [sys.executable, "-m", f"fafnet_ros.{room}{executable}", "--ros-args"]
        command += [part for option in options for part in ("-r", option)]
        if executable == "segment_node" and "checkpoint" not in parameters:
            command += ["-p", f"checkpoint:={UNTRAINED}fafnet-nano"]
            if "runtime" not in parameters:  # the first frame of a size need not be compiled for
                command += ["-p", "runtime:=torch"]
        if params_file is not None:
            command += ["--params-file", str(params_file)]
        for name, value in parameters.items():
            text = str(value).lower() if isinstance(value, bool) else str(value)
            command += ["-p", f"{name}:={text}"]
        environment = {**os.environ, "ROS_DOMAIN_ID": str(self.domain)}
        if executable == "segment_node":
            first = self.folder / f"{len(self._processes)}-first"
            first.mkdir()
            (first / "sitecustomize.py").write_text(f"{REPORT_OFTEN}\n{before}")
            # That early nobody has looked for the package beside the tests yet.
            paths = (str(first), str(PROJECT), os.environ.get("PYTHONPATH", ""))
            environment["PYTHONPATH"] = os.pathsep.join(paths)
        log = self.folder / f"{len(self._processes)}-{executable}.log"
        process = Process(command, environment, log)
        self._processes.append(process)
        return process

    def participant(self, *arguments: Any, make: type = Node, **options: Any) -> Any:
        """Return a node in a participant of its own: one cannot give a topic two types."""
        context = rclpy.Context()
        rclpy.init(context=context, domain_id=self.domain)
        node = make(*arguments, context=context, **options)
        self._participants.append(node)
        return node

    def leave(self, node: Any) -> None:
        """End a participant before the others."""
        self._participants.remove(node)
        node.destroy_node()
        rclpy.try_shutdown(context=node.context)

    def collect(self, kind: type, topic: str, qos: Any = 10) -> list[Any]:
        """Subscribe and return the list that the messages will be in."""
        messages: list[Any] = []
        self.node.create_subscription(kind, topic, messages.append, qos)
        return messages

    def wait_for(self, condition: Callable[[], Any], what: str, timeout: float = 60.0) -> None:
        """Spin until the condition holds; fail with the logs of all processes if it never does."""
        end = time.monotonic() + timeout
        while not condition():
            if time.monotonic() > end:
                logs = "\n".join(process.output for process in self._processes)
                pytest.fail(f"{what} did not happen within {timeout:g} s:\n{logs}")
            self._executor.spin_once(timeout_sec=0.05)

    def spin(self, seconds: float) -> None:
        """Spin for so long."""
        end = time.monotonic() + seconds
        while (left := end - time.monotonic()) > 0:
            self._executor.spin_once(timeout_sec=min(left, 0.05))

    def call(self, kind: type, service: str, request: Any) -> Any:
        """Call a service and return its answer."""
        if service not in self._clients:
            client = self._clients[service] = self.node.create_client(kind, service)
            self.wait_for(client.service_is_ready, f"service {service}")
            self._get_known(client, service, _harmless(request))
        future = self._clients[service].call_async(request)
        self.wait_for(future.done, f"an answer of {service}")
        return future.result()

    def _get_known(self, client: Any, service: str, request: Any) -> None:
        """Ask until the service answers for the first time.

        It may know our request's writer before our answer's reader, and then the answer is lost.
        After one answer none is.
        """
        asked: list[tuple[float, Any]] = []

        def is_answered() -> bool:
            if not asked or time.monotonic() - asked[-1][0] > _ASK_AGAIN:
                asked.append((time.monotonic(), client.call_async(request)))
            return any(future.done() for _, future in asked)

        self.wait_for(is_answered, f"a first answer of {service}")

    def state(self, node: str = "/fafnet") -> str:
        """Return a lifecycle node's state."""
        answer = self.call(GetState, f"{node}/get_state", GetState.Request())
        return str(answer.current_state.label)

    def change_state(self, label: str, node: str = "/fafnet") -> bool:
        """Ask for a transition; return whether it was made."""
        request = ChangeState.Request()
        request.transition.label = label
        return bool(self.call(ChangeState, f"{node}/change_state", request).success)

    def close(self) -> None:
        for process in self._processes:
            process.interrupt()
        for process in self._processes:
            process.stop()
        self._executor.shutdown()
        for node in (self.node, *self._participants):
            node.destroy_node()
            rclpy.try_shutdown(context=node.context)


def _harmless(request: Any) -> Any:
    """Return a request that may be made any number of times before this one: it, as a rule."""
    if isinstance(request, ChangeState.Request):
        return ChangeState.Request(transition=Transition(label="none"))
    return request


@pytest.fixture
def ros(tmp_path: Path) -> Iterator[Ros]:
    """A fresh ROS domain; every process in it is stopped at the end."""
    domain = Ros(tmp_path)
    yield domain
    domain.close()


@pytest.fixture(scope="session")
def fault_costs() -> Iterator[list[Any]]:
    """What planted faults cost, from all files of tests; `make trust` writes it as a table."""
    from fault_bench import THOROUGH, Cost, write_table

    costs: list[Cost] = []
    yield costs
    if THOROUGH and costs:
        print("\n" + write_table(costs))


@pytest.fixture
def frame_folder(tmp_path: Path) -> Path:
    """Six small frames of a wall two metres away, each of another grey."""
    folder = tmp_path / "frames"
    for name in ("color", "depth"):
        (folder / name).mkdir(parents=True)
    for i in range(6):
        cv2.imwrite(str(folder / f"color/{i:04}.png"), np.full((96, 128, 3), 40 * i, np.uint8))
        cv2.imwrite(str(folder / f"depth/{i:04}.png"), np.full((96, 128), 2000, np.uint16))
    (folder / "camera.yaml").write_text(
        "width: 128\nheight: 96\nfx: 110.0\nfy: 110.0\ncx: 63.5\ncy: 47.5\ndepth_unit_m: 0.001\n"
    )
    return folder
