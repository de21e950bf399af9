"""What belongs to a wall: doors, windows with curtains or blinds, and what hangs there.

As in `furniture`, the back is at +y; z counts from the floor.
"""

from __future__ import annotations

from collections.abc import Callable

from fafnet_core.rooms import furniture, textures
from fafnet_core.rooms.kit import Kit, Piece, box, pair, tube
from fafnet_core.rooms.solids import Solid


def door(kit: Kit) -> Piece:
    """A leaf in a frame that stands out, with a handle."""
    width, height = kit.uniform(0.8, 0.95), kit.uniform(1.98, 2.1)
    leaf, frame = kit.colour(), kit.colour()
    texture = kit.texture(textures.panels, textures.planks)
    solids: list[Solid] = [
        box("door", leaf, (0, 0.02, 0), (width, 0.04, height), texture=texture),
        box("door", frame, (0, 0, height), (width + 0.16, 0.1, 0.09)),
        tube("door", (180, 175, 160), (width / 2 - 0.08, -0.06, 1.0), 0.025, 0.12),
        *pair("door", frame, (width / 2 + 0.04, 0, 0), (0.08, 0.1, height)),
    ]
    return Piece(solids, width + 0.16, 0.1, height + 0.09)


def window(kit: Kit) -> Piece:
    """Bright glass in a frame with a sill, and curtains or blinds before it."""
    width, height, sill = kit.uniform(0.8, 1.6), kit.uniform(0.9, 1.3), kit.uniform(0.8, 1.0)
    frame = kit.colour()
    sky, light = kit.uniform(150, 235), kit.uniform(0.2, 0.6)
    blue = kit.uniform(0, 20)
    solids: list[Solid] = [
        box("window", (sky - blue, sky, min(sky + blue, 255)), (0, 0.03, sill),
            (width, 0.02, height), texture=textures.panes(kit.rng), glow=light, glass=0.6),
        box("window", frame, (0, -0.04, sill - 0.04), (width + 0.16, 0.16, 0.04)),
        box("window", frame, (0, 0, sill + height), (width + 0.12, 0.08, 0.06)),
    ]  # fmt: skip
    posts = (-width / 2 - 0.03, width / 2 + 0.03, *((0.0,) if width > 1.0 else ()))
    solids += [box("window", frame, (x, 0, sill), (0.06, 0.08, height)) for x in posts]
    before = kit.rng.random()
    if before < 0.5:
        solids += _curtains(kit, width, sill + height + 0.12)
    elif before < 0.65:
        drop = height * kit.uniform(0.4, 1.0)
        foot = (0, -0.07, sill + height - drop)
        solids.append(
            box("blinds", kit.colour(), foot, (width + 0.1, 0.04, drop),
                texture=textures.slats(kit.rng))
        )  # fmt: skip
    return Piece(solids, width + 0.7, 0.08, sill + height + 0.12)


def _curtains(kit: Kit, width: float, top: float) -> list[Solid]:
    """Cloth in folds: a row of upright columns on each side, on a rod."""
    colour, cloth = kit.colour(), kit.texture(textures.cloth, textures.stripes)
    foot = kit.uniform(0.05, 0.4)
    folds, step = int(kit.rng.integers(3, 6)), kit.uniform(0.085, 0.11)
    edge = width / 2 + 0.24
    solids: list[Solid] = [
        box("curtain", kit.colour(), (0, -0.09, top), (2 * edge + 0.1, 0.03, 0.03))
    ]
    for sign in (-1, 1):
        for fold in range(folds):
            x = sign * (edge - fold * step)
            solids.append(
                tube("curtain", colour, (x, -0.1, foot), step * 0.62, top - foot, texture=cloth)
            )
    return solids


def picture(kit: Kit) -> Piece:
    """A framed picture at the height of the eyes."""
    width, height = kit.uniform(0.45, 1.1), kit.uniform(0.4, 0.8)
    z = 1.55 - height / 2 + kit.uniform(-0.1, 0.15)
    art = kit.texture(textures.blotches, textures.patches)
    solids: list[Solid] = [
        box("picture", kit.colour(), (0, 0, z), (width, 0.05, height)),
        box("picture", kit.colour(), (0, -0.02, z + 0.04), (width - 0.08, 0.02, height - 0.08),
            texture=art),
    ]  # fmt: skip
    return Piece(solids, width, 0.05, z + height)


def whiteboard(kit: Kit) -> Piece:
    """A wide board with writing, a tray for pens under it."""
    width, height, z = kit.uniform(1.2, 1.9), kit.uniform(0.85, 1.1), kit.uniform(0.85, 1.0)
    white = kit.uniform(215, 250)
    solids: list[Solid] = [
        box("whiteboard", (white, white, white), (0, 0, z), (width, 0.04, height),
            texture=textures.handwriting(kit.rng)),
        box("whiteboard", (150, 152, 155), (0, -0.04, z - 0.03), (width * 0.7, 0.1, 0.03)),
    ]  # fmt: skip
    return Piece(solids, width, 0.04, z + height)


def shelves(kit: Kit) -> Piece:
    """An open case on the wall, two boards high, with books on them."""
    width, depth = kit.uniform(0.7, 1.3), kit.uniform(0.24, 0.32)
    wood, texture = kit.colour(), kit.texture(textures.planks)
    low, step = kit.uniform(1.1, 1.3), kit.uniform(0.34, 0.42)
    height = 2 * step + 0.04
    solids: list[Solid] = [
        box("shelves", wood, (0, depth / 2 - 0.01, low), (width, 0.02, height), texture=texture)
    ]
    side = (width / 2 - 0.02, 0, low)
    solids += pair("shelves", wood, side, (0.04, depth, height), texture=texture)
    for row in range(3):
        z = low + row * step
        solids.append(box("shelves", wood, (0, 0, z), (width, depth, 0.04), texture=texture))
        if row < 2 and kit.chance(0.6):
            x = kit.uniform(-width / 2 + 0.2, width / 2 - 0.2)
            solids += furniture.books(kit).placed(x, 0.0, z + 0.04, 90.0)
    return Piece(solids, width, depth, low + height)


def wall_television(kit: Kit) -> Piece:
    """A flat screen on the wall."""
    width = kit.uniform(0.85, 1.4)
    z = kit.uniform(0.95, 1.2)
    return Piece(furniture.screen(kit, width, (0, -0.03, z)), width, 0.14, z + 0.58 * width)


FIXTURES: tuple[Callable[[Kit], Piece], ...] = (
    picture, shelves, whiteboard, shelves, wall_television, picture,
)  # fmt: skip
"""What hangs on a wall; pictures and shelves are the commonest."""
