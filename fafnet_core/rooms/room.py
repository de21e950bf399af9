"""Random rooms: fixtures, furniture along the walls and in the middle, things on tables.

A room has its floor at z = 0 and its middle at x = y = 0. The same generator state makes the same
room.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from fafnet_core.rooms import furniture, textures
from fafnet_core.rooms.fixtures import FIXTURES, door, window
from fafnet_core.rooms.kit import Kit, Piece, box, label
from fafnet_core.rooms.render import Lamp, Scene
from fafnet_core.rooms.solids import Array, Shell, Solid, turn

_THEMES: dict[str, tuple[str, ...]] = {
    "bedroom": ("bed", "bed", "cabinet", "dresser", "desk"),
    "living room": ("sofa", "sofa", "television", "bookshelf", "lamp"),
    "kitchen": ("counter", "refrigerator", "table", "counter"),
    "study": ("desk", "bookshelf", "cabinet", "box", "desk"),
}
_FAVOUR = 3.0
_ASIDE = 0.06
"""Free floor around each thing, in metres."""
_LOW = 1.0
"""Lower things may stand in front of a window, in metres."""


@dataclass(frozen=True)
class _Wall:
    """One wall: its inner face is `distance` from the middle; pieces there are turned by `yaw`."""

    yaw_deg: float
    distance: float
    length: float

    def at(self, along: float, depth: float) -> tuple[float, float]:
        """Return x, y of a piece of this depth with its back to the wall."""
        x, y, _ = turn(self.yaw_deg) @ np.array([along, self.distance - depth / 2, 0], np.float32)
        return float(x), float(y)


@dataclass
class _Plan:
    """What is placed so far."""

    width: float
    length: float
    solids: list[Solid] = field(default_factory=list)
    taken: list[tuple[float, float, float, float]] = field(default_factory=list)
    tops: list[tuple[Piece, float, float, float]] = field(default_factory=list)

    def footprint(
        self, piece: Piece, x: float, y: float, yaw_deg: float
    ) -> tuple[float, float, float, float]:
        """Return the rectangle x0, x1, y0, y1 that a piece takes of the floor."""
        c, s = abs(np.cos(np.radians(yaw_deg))), abs(np.sin(np.radians(yaw_deg)))
        w, d = (c * piece.width + s * piece.depth) / 2, (s * piece.width + c * piece.depth) / 2
        return x - w, x + w, y - d, y + d

    def is_free(self, area: tuple[float, float, float, float], aside: float = _ASIDE) -> bool:
        """Whether a rectangle lies in the room and clear of all that stands there."""
        x0, x1, y0, y1 = area
        reach = 0.01
        if x0 < -self.width / 2 - reach or x1 > self.width / 2 + reach:
            return False
        if y0 < -self.length / 2 - reach or y1 > self.length / 2 + reach:
            return False
        return all(
            x1 + aside <= a or x0 - aside >= b or y1 + aside <= c or y0 - aside >= d
            for a, b, c, d in self.taken
        )

    def put(self, piece: Piece, x: float, y: float, yaw_deg: float) -> bool:
        """Place a piece if there is room for it; return whether there was."""
        area = self.footprint(piece, x, y, yaw_deg)
        if not self.is_free(area):
            return False
        self.taken.append(area)
        self.solids += piece.placed(x, y, 0.0, yaw_deg)
        if piece.top is not None:
            self.tops.append((piece, x, y, yaw_deg))
        return True


@dataclass(frozen=True)
class Room:
    """A furnished room.

    Attributes:
        scene: what to render.
        size: width (x), length (y) and height (z) in metres.
        taken: rectangles x0, x1, y0, y1 of floor where things stand.
    """

    scene: Scene
    size: tuple[float, float, float]
    taken: tuple[tuple[float, float, float, float], ...]

    def distance(self, x: float, y: float) -> float:
        """Return the distance from a point to the nearest thing on the floor, in metres."""
        return min(
            (
                float(np.hypot(max(a - x, x - b, 0), max(c - y, y - d, 0)))
                for a, b, c, d in self.taken
            ),
            default=np.inf,
        )


def make_room(rng: np.random.Generator, *, lies: float = 0.5) -> Room:
    """Return a room.

    Args:
        rng: decides everything.
        lies: the share of surfaces, 0 <= lies <= 1, with a texture of any class.
    """
    kit = Kit(rng, lies)
    width, length, height = kit.uniform(3.4, 5.6), kit.uniform(3.4, 5.6), kit.uniform(2.35, 2.9)
    plan = _Plan(width, length)
    theme = list(_THEMES)[rng.integers(len(_THEMES))]
    walls = [
        _Wall(0.0, length / 2, width),
        _Wall(-90.0, width / 2, length),
        _Wall(180.0, length / 2, width),
        _Wall(90.0, width / 2, length),
    ]
    # The wall with the door comes first: all that follows leaves the way to it free.
    first = int(rng.integers(4))
    for index, wall in enumerate(walls[first:] + walls[:first]):
        _furnish_wall(kit, plan, wall, theme, with_door=index == 0)
    _fill_middle(kit, plan)
    _lay_things_down(kit, plan)
    shell = _shell(kit, (width, length, height))
    return Room(
        Scene((shell, *plan.solids), _lamp(kit, height)),
        (width, length, height),
        tuple(plan.taken),
    )


def _shell(kit: Kit, size: tuple[float, float, float]) -> Shell:
    wall = kit.texture(textures.uneven, textures.uneven, textures.stripes, textures.mural)
    floor = kit.texture(textures.planks, textures.tiles, textures.cloth)
    ceiling = textures.uneven(kit.rng)
    half: Array = np.array(size, np.float32) / np.float32(2)
    return Shell(
        label("wall"),
        kit.colour(),
        np.array([0, 0, half[2]], np.float32),
        half,
        texture=wall,
        floor=(label("floor"), kit.colour(), floor),
        ceiling=(label("ceiling"), kit.colour(), ceiling),
    )


def _lamp(kit: Kit, height: float) -> Lamp:
    """Return a lamp, bright or dim, warm or cold."""
    level = kit.uniform(0.35, 1.15)
    share = kit.uniform(0.3, 0.75)
    warm = kit.uniform(-0.15, 0.25)
    position = (kit.uniform(-0.8, 0.8), kit.uniform(-0.8, 0.8), height - 0.12)
    tint = (1 + 0.4 * warm, 1.0, 1 - warm)
    return Lamp(position, 1.3 * level * share, 1.1 * level * (1 - share) + 0.05, tint)


def _furnish_wall(kit: Kit, plan: _Plan, wall: _Wall, theme: str, *, with_door: bool) -> None:
    """Set fixtures, then furniture along the wall, then hang things where the wall is empty."""
    closed: list[tuple[float, float]] = []  # nothing stands or hangs here
    lit: list[tuple[float, float]] = []  # only low things stand here
    if with_door:
        piece = door(kit)
        along = _somewhere(kit, wall, piece.width)
        plan.solids += piece.placed(*wall.at(along, piece.depth), 0.0, wall.yaw_deg)
        closed.append((along - piece.width / 2 - 0.1, along + piece.width / 2 + 0.1))
        x, y = wall.at(along, 0.9)
        plan.taken.append(plan.footprint(Piece([], piece.width, 0.9, 0), x, y, wall.yaw_deg))
    if kit.chance(0.6):
        piece = window(kit)
        along = _somewhere(kit, wall, piece.width)
        span = (along - piece.width / 2, along + piece.width / 2)
        if not _overlaps(span, closed):
            plan.solids += piece.placed(*wall.at(along, piece.depth), 0.0, wall.yaw_deg)
            lit.append(span)
    tall = _stand_along(kit, plan, wall, theme, closed, lit)
    _hang(kit, plan, wall, [*closed, *lit, *tall])


def _stand_along(
    kit: Kit,
    plan: _Plan,
    wall: _Wall,
    theme: str,
    closed: Sequence[tuple[float, float]],
    lit: Sequence[tuple[float, float]],
) -> list[tuple[float, float]]:
    """Stand furniture along the wall; return the spans of what is too tall to hang things over."""
    names = list(furniture.AT_WALL)
    weights = np.array([_FAVOUR if name in _THEMES[theme] else 1.0 for name in names])
    weights /= weights.sum()
    tall = []
    cursor = -wall.length / 2 + kit.uniform(0.02, 0.6)
    wanted = kit.rng.permutation(_THEMES[theme])[:2].tolist()
    for attempt in range(10):
        name = wanted[attempt] if attempt < len(wanted) else str(kit.rng.choice(names, p=weights))
        piece = furniture.AT_WALL[name](kit)
        along = cursor + piece.width / 2
        span = (cursor, cursor + piece.width)
        blocked = _overlaps(span, closed) or (piece.height > _LOW and _overlaps(span, lit))
        gap = kit.uniform(0.02, 0.12)
        x, y = wall.at(along, piece.depth + 2 * gap)
        if span[1] > wall.length / 2 or blocked or not plan.put(piece, x, y, wall.yaw_deg):
            cursor += kit.uniform(0.1, 0.5)
            continue
        if piece.height > _LOW + 0.1:
            tall.append(span)
        if name == "bed":
            _beside_bed(kit, plan, wall, span)
        if name in ("desk", "table"):
            _chair_at(kit, plan, piece, (x, y), wall.yaw_deg, 180.0)
        cursor = span[1] + kit.uniform(0.08, 0.6)
    return tall


def _beside_bed(kit: Kit, plan: _Plan, wall: _Wall, span: tuple[float, float]) -> None:
    for side in (-1, 1):
        if kit.chance(0.75):
            stand = furniture.night_stand(kit)
            edge = span[0] if side < 0 else span[1]
            x, y = wall.at(edge + side * (stand.width / 2 + 0.08), stand.depth + 0.1)
            plan.put(stand, x, y, wall.yaw_deg)


def _chair_at(
    kit: Kit, plan: _Plan, piece: Piece, place: tuple[float, float], yaw_deg: float, side_deg: float
) -> None:
    """Put a chair at one side of a table, turned to it."""
    chair = furniture.chair(kit)
    way = yaw_deg + side_deg
    reach = piece.depth if side_deg % 180 == 0 else piece.width
    out = reach / 2 + chair.depth / 2 + kit.uniform(0.07, 0.3)
    aside = kit.uniform(-0.15, 0.15)
    x, y, _ = turn(way) @ np.array([aside, out, 0], np.float32)
    plan.put(chair, place[0] + float(x), place[1] + float(y), way + kit.uniform(-25, 25))


def _fill_middle(kit: Kit, plan: _Plan) -> None:
    """Place a mat, a table with chairs, people, and other things."""
    if kit.chance(0.6):
        _lay_mat(kit, plan)
    names = ["table"] * int(kit.chance(0.5)) + ["person"] * int(kit.chance(0.45))
    others = list(furniture.FREE)
    names += [str(name) for name in kit.rng.choice(others, int(kit.rng.integers(2, 6)))]
    for name in names:
        piece = furniture.FREE[name](kit)
        for _ in range(8):
            x = kit.uniform(-plan.width / 2 + 0.4, plan.width / 2 - 0.4)
            y = kit.uniform(-plan.length / 2 + 0.4, plan.length / 2 - 0.4)
            yaw = kit.uniform(-180, 180)
            if plan.put(piece, x, y, yaw):
                if name == "table":
                    for side in (0.0, 90.0, 180.0, 270.0):
                        if kit.chance(0.6):
                            _chair_at(kit, plan, piece, (x, y), yaw, side)
                break


def _lay_mat(kit: Kit, plan: _Plan) -> None:
    """Lay a mat on the floor; other things may stand on it."""
    size = (kit.uniform(0.8, 2.2), kit.uniform(0.6, 1.6), 0.015)
    x = kit.uniform(-plan.width / 4, plan.width / 4)
    y = kit.uniform(-plan.length / 4, plan.length / 4)
    mat = box(
        "floor mat",
        kit.colour(),
        (0, 0, 0),
        size,
        texture=kit.texture(textures.patches, textures.blotches, textures.checks),
    )
    plan.solids += Piece([mat], size[0], size[1], size[2]).placed(x, y, 0, kit.uniform(-30, 30))


def _hang(kit: Kit, plan: _Plan, wall: _Wall, full: list[tuple[float, float]]) -> None:
    """Hang pictures, shelves and boards where nothing tall stands."""
    for _ in range(4):
        piece = FIXTURES[kit.rng.integers(len(FIXTURES))](kit)
        if piece.width > wall.length - 0.3:
            continue
        along = _somewhere(kit, wall, piece.width)
        span = (along - piece.width / 2 - 0.06, along + piece.width / 2 + 0.06)
        if not _overlaps(span, full):
            full.append(span)
            plan.solids += piece.placed(*wall.at(along, piece.depth), 0.0, wall.yaw_deg)


def _lay_things_down(kit: Kit, plan: _Plan) -> None:
    """Put books, lamps and boxes on the tops of furniture."""
    for piece, x, y, yaw_deg in plan.tops:
        along = -piece.width / 2 + 0.2
        while along < piece.width / 2 - 0.15:
            make = _SMALL_THINGS[kit.rng.integers(len(_SMALL_THINGS))]
            if make is not None:
                made = make(kit)
                back = kit.uniform(-0.1, 0.1) * piece.depth
                local = turn(yaw_deg) @ np.array([along, back, 0], np.float32)
                place = (x + float(local[0]), y + float(local[1]))
                assert piece.top is not None
                plan.solids += made.placed(*place, piece.top, yaw_deg + kit.uniform(-20, 20))
            along += kit.uniform(0.38, 0.7)


def _small_box(kit: Kit) -> Piece:
    size = (kit.uniform(0.2, 0.32), kit.uniform(0.18, 0.28), kit.uniform(0.14, 0.26))
    solid = box("box", kit.colour(), (0, 0, 0), size, texture=kit.texture(textures.uneven))
    return Piece([solid], *size)


_SMALL_THINGS = (furniture.books, furniture.books, furniture.table_lamp, _small_box, None, None)
"""What lies on furniture; None: nothing there."""


def _somewhere(kit: Kit, wall: _Wall, width: float) -> float:
    room = max((wall.length - width) / 2 - 0.1, 0.0)
    return kit.uniform(-room, room)


def _overlaps(span: tuple[float, float], others: Sequence[tuple[float, float]]) -> bool:
    return any(span[0] < high and span[1] > low for low, high in others)
