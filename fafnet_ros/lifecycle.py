"""A lifecycle node that survives what people do to it, and the way every node of ours runs."""

from __future__ import annotations

import functools
import signal
import sys
import traceback
from collections.abc import Callable
from typing import Any, TypeVar

import rclpy
from lifecycle_msgs.srv import ChangeState
from rclpy.exceptions import ParameterException
from rclpy.executors import ExternalShutdownException
from rclpy.lifecycle import LifecycleNode, LifecycleState, TransitionCallbackReturn
from rclpy.node import Node

from fafnet_ros.dds import use_large_image_profile
from fafnet_ros.failures import SEE_LOG, one_line

N = TypeVar("N", bound="SturdyLifecycleNode")
_Transition = Callable[[N, LifecycleState], TransitionCallbackReturn]


def transition(callback: Callable[[N, LifecycleState], None]) -> _Transition[N]:
    """Turn a method into a transition: what it raises is logged, and the transition fails.

    rclpy itself swallows exceptions of transitions without a word.
    """

    @functools.wraps(callback)
    def guarded(node: N, state: LifecycleState) -> TransitionCallbackReturn:
        failure = trace = ""
        try:
            callback(node, state)
        except (ValueError, OSError) as error:  # what a user can mend, said in a sentence
            failure = f"{callback.__name__} failed: {error}"
        except Exception as error:
            failure = f"{callback.__name__} failed: {one_line(error)}; {SEE_LOG}"
            trace = f"\n{traceback.format_exc()}"
        node.failure = failure
        if not failure:
            return TransitionCallbackReturn.SUCCESS
        if node.context.ok():  # else: a signal came meanwhile, and nothing can be made any more
            node.get_logger().error(f"{failure}{trace}")
        return TransitionCallbackReturn.FAILURE

    return guarded


class SturdyLifecycleNode(LifecycleNode):
    """A lifecycle node whose `change_state` answers False to a transition that is not possible.

    rclpy of Jazzy raises out of the executor instead and ends the process (ros2/rclpy issue 1209).

    Attributes:
        failure: why the last transition failed; empty if it did not.
    """

    failure = ""

    def __init__(self, name: str, **options: Any) -> None:
        super().__init__(name, **options)
        change_state = self._service_change_state.callback

        def checked(
            request: ChangeState.Request, response: ChangeState.Response
        ) -> ChangeState.Response:
            wanted = request.transition
            possible = {entry[0]: entry[1] for entry in self._state_machine.available_transitions}
            # As in rcl, a label beats the id, whose default 0 is a transition too ("create").
            known = wanted.label in possible.values() if wanted.label else wanted.id in possible
            if not known:
                state = self._state_machine.current_state[1]
                self.get_logger().warning(
                    f"transition '{wanted.label or wanted.id}' is not possible in state '{state}';"
                    f" possible: {', '.join(possible.values()) or 'none'}"
                )
                response.success = False
                return response
            result: ChangeState.Response = change_state(request, response)
            return result

        self._service_change_state.callback = checked

    @property
    def state_label(self) -> str:
        """The lifecycle state: unconfigured, inactive, active or finalized."""
        label: str = self._state_machine.current_state[1]
        return label

    def close(self) -> None:
        """Stop threads and free what the node holds, before it is destroyed."""


def run(make_node: Callable[[], Node], arguments: list[str] | None = None) -> int:
    """Run a node until it is interrupted or ends by itself; return the process's exit status."""
    use_large_image_profile()
    try:
        rclpy.init(args=arguments)
    except RuntimeError as error:  # RCLError and others that rclpy does not export
        print(f"arguments: {error}{_remedy(str(error))}", file=sys.stderr)
        return 1
    node = None
    try:
        node = make_node()
        rclpy.spin(node)
    except (KeyboardInterrupt, ExternalShutdownException):
        # `ros2 launch` interrupts a second time while we are still tidying up.
        signal.signal(signal.SIGINT, signal.SIG_IGN)
    except ParameterException as error:  # rclpy's own parameters, e.g. use_sim_time:=1
        print(f"parameters: {error}", file=sys.stderr)
        return 1
    except SystemExit as end:  # how a node ends by itself
        return int(end.code or 0)
    except Exception:
        # A callback that was publishing when the signal came finds its publisher gone.
        if rclpy.ok():
            raise
    finally:
        if node is not None:
            getattr(node, "close", lambda: None)()
            node.destroy_node()
        rclpy.try_shutdown()
    return 0


def _remedy(error: str) -> str:
    """Return what to do about what rcl says of arguments, where that is not plain."""
    if "Sequence should be of same type" in error:
        return ". Write all numbers of a list alike: [0.05, 0.0, 1.0], not [0.05, 0, 1]"
    return ""
