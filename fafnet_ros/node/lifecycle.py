"""A lifecycle node that survives errors and impossible transitions."""

from __future__ import annotations

import functools
import traceback
from collections.abc import Callable
from typing import Any, TypeVar

from lifecycle_msgs.srv import ChangeState
from rclpy.lifecycle import LifecycleNode, LifecycleState, TransitionCallbackReturn

from fafnet_ros.node.failures import SEE_LOG, one_line

N = TypeVar("N", bound="SturdyLifecycleNode")
_Transition = Callable[[N, LifecycleState], TransitionCallbackReturn]


def transition(callback: Callable[[N, LifecycleState], None]) -> _Transition[N]:
    """Turn a method into a transition: what it raises is logged, and the transition fails.

    rclpy itself ignores exceptions of transitions silently.
    """

    @functools.wraps(callback)
    def guarded(node: N, state: LifecycleState) -> TransitionCallbackReturn:
        failure = trace = ""
        try:
            callback(node, state)
        except (ValueError, OSError) as error:  # what a user can correct, in a sentence
            failure = f"{callback.__name__} failed: {error}"
        except Exception as error:
            failure = f"{callback.__name__} failed: {one_line(error)}; {SEE_LOG}"
            trace = f"\n{traceback.format_exc()}"
        node.failure = failure
        if not failure:
            return TransitionCallbackReturn.SUCCESS
        if node.context.ok():  # else: a signal came, and nothing can be published or logged
            node.get_logger().error(f"{failure}{trace}")
        return TransitionCallbackReturn.FAILURE

    return guarded


class SturdyLifecycleNode(LifecycleNode):
    """A lifecycle node whose `change_state` returns False for a transition that is not possible.

    rclpy of Jazzy raises out of the executor instead and ends the process (ros2/rclpy issue 1209).

    Attributes:
        failure: why the last transition failed; empty if it succeeded.
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
            # As in rcl, a label overrides the id, whose default 0 is a transition too ("create").
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
