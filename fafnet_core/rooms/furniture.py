"""Furniture in NYU-40 classes, each piece in a frame of its own.

A piece stands on z = 0 with the middle of its footprint at x = y = 0; its back is at +y, and it is
used from -y.
"""

from __future__ import annotations

from collections.abc import Callable

from fafnet_core.rooms import textures
from fafnet_core.rooms.kit import Colour, Kit, Piece, blob, box, pair, tube
from fafnet_core.rooms.solids import Solid, plain, tilt, turn


def _legs(name: str, colour: Colour, width: float, depth: float, height: float) -> list[Solid]:
    """Four legs just inside the corners."""
    x, y = width / 2 - 0.04, depth / 2 - 0.04
    return [
        box(name, colour, (sx * x, sy * y, 0), (0.05, 0.05, height))
        for sx in (-1, 1)
        for sy in (-1, 1)
    ]


def bed(kit: Kit) -> Piece:
    """A frame, a mattress, a blanket over most of it, a headboard, one or two pillows."""
    width, length = kit.uniform(0.9, 1.8), kit.uniform(1.9, 2.1)
    frame, mattress = kit.uniform(0.22, 0.35), kit.uniform(0.18, 0.26)
    top = frame + mattress
    wood, sheet, cover = kit.colour(), kit.colour(), kit.colour()
    cloth = kit.texture(textures.cloth, textures.checks, textures.stripes)
    solids: list[Solid] = [
        box("bed", wood, (0, 0, 0), (width, length, frame), texture=kit.texture(textures.planks)),
        box("bed", sheet, (0, 0, frame), (width - 0.06, length - 0.06, mattress)),
        box("bed", cover, (0, -0.2, frame + 0.05), (width + 0.02, length - 0.4, mattress),
            texture=cloth),
        box("bed", wood, (0, length / 2 + 0.03, 0), (width, 0.06, top + kit.uniform(0.25, 0.6)),
            texture=kit.texture(textures.planks, textures.panels)),
    ]  # fmt: skip
    count = 2 if width > 1.3 else 1
    for i in range(count):
        x = (i - (count - 1) / 2) * width / 2
        solids.append(pillow_at(kit, (x, length / 2 - 0.28, top), kit.uniform(-8, 8), 20))
    return Piece(solids, width, length + 0.1, top + 0.4)


def pillow_at(kit: Kit, foot: tuple[float, float, float], yaw_deg: float, lean_deg: float) -> Solid:
    """A cushion on a bed or a sofa, leaning back."""
    size = (kit.uniform(0.45, 0.62), kit.uniform(0.32, 0.42), kit.uniform(0.16, 0.22))
    return blob(
        "pillow",
        kit.colour(),
        (foot[0], foot[1], foot[2] - 0.01),
        size,
        texture=kit.texture(textures.cloth),
        rotation=turn(yaw_deg) @ tilt(lean_deg),
    )


def chair(kit: Kit) -> Piece:
    """A seat on four legs, or on a foot with a stem, with a back."""
    seat, side = kit.uniform(0.42, 0.48), kit.uniform(0.4, 0.48)
    body, legs = kit.colour(), kit.colour()
    back = kit.uniform(0.4, 0.55)
    texture = kit.texture(textures.cloth, textures.planks)
    solids: list[Solid] = [
        box("chair", body, (0, 0, seat - 0.06), (side, side, 0.06), texture=texture),
        box("chair", body, (0, side / 2 - 0.02, seat + 0.08), (side, 0.05, back - 0.08),
            texture=texture, rotation=tilt(-6)),
    ]  # fmt: skip
    if kit.chance(0.3):
        solids += [
            tube("chair", legs, (0, 0, 0.06), 0.03, seat - 0.1),
            tube("chair", legs, (0, 0, 0), (0.3, 0.08), 0.07),
        ]
        arm = (side / 2 + 0.03, 0, seat + 0.18)
        solids += pair("chair", legs, arm, (0.05, side - 0.1, 0.04))
    else:
        solids += _legs("chair", legs, side, side, seat - 0.06)
        solids += pair("chair", legs, (side / 2 - 0.03, side / 2, seat), (0.04, 0.04, back))
    return Piece(solids, side + 0.06, side + 0.08, seat + back)


def sofa(kit: Kit) -> Piece:
    """A base with a back, two arms, cushions, and often pillows."""
    width, depth = kit.uniform(1.4, 2.2), kit.uniform(0.8, 0.95)
    seat, arm, back = kit.uniform(0.38, 0.45), kit.uniform(0.14, 0.24), kit.uniform(0.75, 0.95)
    body, inside = kit.colour(), depth - 0.22
    texture = kit.texture(textures.cloth, textures.stripes)
    seats = 2 if width < 1.8 else 3
    one = (width - 2 * arm) / seats
    solids: list[Solid] = [
        box("sofa", body, (0, 0, 0), (width, depth, seat - 0.12), texture=texture),
        box("sofa", body, (0, depth / 2 - 0.11, 0), (width, 0.22, back), texture=texture),
    ]
    armrest = (arm, depth, seat + 0.2)
    solids += pair("sofa", body, ((width - arm) / 2, 0, 0), armrest, texture=texture)
    for i in range(seats):
        x = (i - (seats - 1) / 2) * one
        size = (one - 0.02, inside, 0.14)
        solids.append(box("sofa", body, (x, -0.11, seat - 0.12), size, texture=texture))
    for x in kit.rng.uniform(-width / 2 + 0.45, width / 2 - 0.45, kit.rng.integers(0, 3)):
        place = (float(x), depth / 2 - 0.36, seat)
        solids.append(pillow_at(kit, place, kit.uniform(-20, 20), 55))
    return Piece(solids, width, depth, back)


def table(kit: Kit) -> Piece:
    """A round or square top on legs or on a column: to eat at, or low before a sofa."""
    low = kit.chance(0.35)
    height = kit.uniform(0.38, 0.48) if low else kit.uniform(0.7, 0.78)
    top, legs = kit.colour(), kit.colour()
    texture = kit.texture(textures.planks)
    if kit.chance(0.35):
        radius = kit.uniform(0.4, 0.6)
        solids: list[Solid] = [
            tube("table", top, (0, 0, height - 0.04), radius, 0.04, texture=texture),
            tube("table", legs, (0, 0, 0.03), 0.05, height - 0.06),
            tube("table", legs, (0, 0, 0), (0.28, 0.2), 0.04),
        ]
        return Piece(solids, 2 * radius, 2 * radius, height, top=height)
    width, depth = kit.uniform(0.8, 1.5), kit.uniform(0.6, 0.9)
    solids = [
        box("table", top, (0, 0, height - 0.04), (width, depth, 0.04), texture=texture),
        *_legs("table", legs, width, depth, height - 0.04),
    ]
    return Piece(solids, width, depth, height, top=height)


def desk(kit: Kit) -> Piece:
    """A top between a block of drawers and a side panel, with a panel at the back."""
    width, depth, height = kit.uniform(1.1, 1.6), kit.uniform(0.55, 0.7), kit.uniform(0.72, 0.78)
    body, front = kit.colour(), kit.colour()
    drawers, side = kit.uniform(0.36, 0.45), 1 if kit.chance(0.5) else -1
    texture = kit.texture(textures.planks)
    under = height - 0.04
    solids: list[Solid] = [
        box("desk", body, (0, 0, under), (width, depth, 0.04), texture=texture),
        box("desk", front, (side * (width - drawers) / 2, 0, 0), (drawers, depth - 0.04, under),
            texture=kit.texture(textures.panels)),
        box("desk", body, (-side * (width / 2 - 0.02), 0, 0), (0.04, depth, under)),
        box("desk", body, (0, depth / 2 - 0.04, 0.15), (width - 0.1, 0.03, under - 0.15)),
    ]  # fmt: skip
    return Piece(solids, width, depth, height, top=height)


def cabinet(kit: Kit) -> Piece:
    """A wardrobe or tall cupboard: two doors, with a plinth and a cornice that stand out."""
    width, depth, height = kit.uniform(0.8, 1.6), kit.uniform(0.45, 0.62), kit.uniform(1.7, 2.2)
    body, front = kit.colour(), kit.colour()
    texture = kit.texture(textures.panels, textures.planks)
    solids: list[Solid] = [
        box("cabinet", body, (0, 0, 0), (width, depth, height), texture=texture),
        box("cabinet", body, (0, -0.02, height), (width + 0.06, depth + 0.06, 0.06)),
    ]
    for sign in (-1, 1):
        foot = (sign * width / 4, -depth / 2 - 0.01, 0.08)
        solids.append(box("cabinet", front, foot, (width / 2 - 0.03, 0.03, height - 0.12),
                          texture=texture))  # fmt: skip
        knob = (sign * 0.05, -depth / 2 - 0.04, height / 2)
        solids.append(box("cabinet", kit.colour(), knob, (0.02, 0.03, 0.2)))
    return Piece(solids, width, depth + 0.04, height)


def dresser(kit: Kit) -> Piece:
    """A wide, low chest of three or four rows of drawers."""
    width, depth, height = kit.uniform(1.0, 1.5), kit.uniform(0.42, 0.52), kit.uniform(0.78, 1.0)
    body, front = kit.colour(), kit.colour()
    rows = int(kit.rng.integers(3, 5))
    step = (height - 0.12) / rows
    texture = kit.texture(textures.planks, textures.uneven)
    solids: list[Solid] = [box("dresser", body, (0, 0, 0), (width, depth, height), texture=texture)]
    for row in range(rows):
        foot = (width / 4, -depth / 2 - 0.01, 0.08 + row * step)
        size = (width / 2 - 0.05, 0.03, step - 0.04)
        solids += pair("dresser", front, foot, size, texture=texture)
    return Piece(solids, width, depth + 0.04, height, top=height)


def night_stand(kit: Kit) -> Piece:
    """A small chest beside a bed, open below."""
    width, depth, height = kit.uniform(0.38, 0.5), kit.uniform(0.36, 0.45), kit.uniform(0.45, 0.6)
    body = kit.colour()
    texture = kit.texture(textures.planks)
    middle = height * 0.45
    solids: list[Solid] = [
        box("night stand", body, (0, 0, middle), (width, depth, height - middle), texture=texture),
        box("night stand", body, (0, 0, 0), (width, depth, 0.06), texture=texture),
        box("night stand", kit.colour(), (0, -depth / 2 - 0.01, middle + 0.04),
            (width - 0.08, 0.03, height - middle - 0.08)),
    ]  # fmt: skip
    solids += pair("night stand", body, (width / 2 - 0.015, 0, 0), (0.03, depth, middle))
    return Piece(solids, width, depth, height, top=height)


def bookshelf(kit: Kit) -> Piece:
    """An open case with boards, most of them full of books."""
    width, depth, height = kit.uniform(0.8, 1.3), kit.uniform(0.28, 0.36), kit.uniform(1.5, 2.1)
    body = kit.colour()
    boards = int(kit.rng.integers(4, 6))
    step = (height - 0.04) / boards
    solids: list[Solid] = [
        box("bookshelf", body, (0, depth / 2 - 0.01, 0), (width, 0.02, height)),
        *pair("bookshelf", body, (width / 2 - 0.015, 0, 0), (0.03, depth, height)),
        *(
            box("bookshelf", body, (0, 0, row * step), (width, depth, 0.03))
            for row in range(boards + 1)
        ),
    ]
    for row in range(boards):
        filled = kit.uniform(0.25, 0.95) * (width - 0.08)
        side = 1 if kit.chance(0.5) else -1
        foot = (side * (width - 0.08 - filled) / 2, 0.03, row * step + 0.03)
        size = (filled, depth - kit.uniform(0.08, 0.14), step * kit.uniform(0.5, 0.85))
        solids.append(
            box("bookshelf", kit.colour(), foot, size, texture=kit.texture(textures.spines))
        )
    return Piece(solids, width, depth, height)


def counter(kit: Kit) -> Piece:
    """Kitchen cupboards under one top that stands out."""
    width, depth, height = kit.uniform(1.4, 2.6), kit.uniform(0.58, 0.65), kit.uniform(0.86, 0.94)
    body, top = kit.colour(), kit.colour()
    solids: list[Solid] = [
        box("counter", body, (0, 0.02, 0.1), (width, depth - 0.04, height - 0.14),
            texture=kit.texture(textures.panels)),
        box("counter", (60, 60, 60), (0, 0.05, 0), (width, depth - 0.1, 0.1)),
        box("counter", top, (0, -0.02, height - 0.04), (width + 0.02, depth + 0.04, 0.05),
            texture=kit.texture(textures.uneven)),
    ]  # fmt: skip
    if kit.chance(0.6):  # tap and hob stand on it
        x = kit.uniform(-width / 3, width / 3)
        solids += [
            tube("counter", (190, 195, 200), (x, depth / 2 - 0.12, height), 0.02, 0.25),
            box("counter", (190, 195, 200), (x, depth / 2 - 0.2, height + 0.23), (0.03, 0.2, 0.03)),
        ]
    return Piece(solids, width, depth, height, top=height)


def refrigerator(kit: Kit) -> Piece:
    """Two doors one above the other, with long handles."""
    metal = (170.0, 172.0, 175.0)
    width, depth, height = kit.uniform(0.58, 0.75), kit.uniform(0.62, 0.72), kit.uniform(1.45, 1.9)
    shell, split = kit.colour(), kit.uniform(0.35, 0.68)
    front = -depth / 2 - 0.03
    side = width / 2 - 0.07
    solids: list[Solid] = [
        box("refrigerator", shell, (0, 0, 0.04), (width, depth - 0.04, height)),
        box("refrigerator", shell, (0, front, 0.06), (width, 0.08, height * split - 0.04)),
        box("refrigerator", shell, (0, front, height * split + 0.04),
            (width, 0.08, height * (1 - split) - 0.02)),
        tube("refrigerator", metal, (side, front - 0.07, height * split - 0.5), 0.02, 0.42),
        tube("refrigerator", metal, (side, front - 0.07, height * split + 0.1), 0.02, 0.35),
    ]  # fmt: skip
    return Piece(solids, width, depth + 0.1, height)


def television(kit: Kit) -> Piece:
    """A flat screen on a foot, on a low board of class cabinet."""
    width = kit.uniform(0.8, 1.4)
    height = 0.58 * width
    board, depth, long = (
        kit.uniform(0.4, 0.55),
        kit.uniform(0.38, 0.48),
        width + kit.uniform(0.1, 0.5),
    )
    body = kit.colour()
    solids: list[Solid] = [
        box("cabinet", body, (0, 0, 0), (long, depth, board), texture=kit.texture(textures.panels)),
        *screen(kit, width, (0, 0.03, board + 0.06)),
        box("television", (25, 25, 28), (0, 0.05, board), (0.35 * width, 0.2, 0.07)),
    ]
    return Piece(solids, long, depth, board + 0.06 + height)


def screen(kit: Kit, width: float, foot: tuple[float, float, float]) -> list[Solid]:
    """A television's flat box, off or on; to the depth camera, glass."""
    on = kit.chance(0.4)
    colour = kit.colour() if on else (28.0, 30.0, 34.0)
    texture = kit.texture(textures.blotches, textures.patches) if on else plain
    height = 0.58 * width
    x, y, z = foot
    return [
        box("television", (22, 22, 24), foot, (width, 0.07, height), glass=0.15),
        box("television", colour, (x, y - 0.036, z + 0.025), (width - 0.05, 0.01, height - 0.05),
            texture=texture, glow=0.35 if on else 0.0, glass=0.3),
    ]  # fmt: skip


def lamp(kit: Kit) -> Piece:
    """A floor lamp: foot, stem, shade."""
    height, radius = kit.uniform(1.35, 1.75), kit.uniform(0.16, 0.26)
    metal = kit.colour()
    solids: list[Solid] = [
        tube("lamp", metal, (0, 0, 0), 0.15, 0.03),
        tube("lamp", metal, (0, 0, 0), 0.02, height - 0.25),
        *_shade(kit, (0, 0, height - 0.32), radius, 0.32),
    ]
    return Piece(solids, 2 * radius, 2 * radius, height)


def table_lamp(kit: Kit) -> Piece:
    """A small lamp: a bulbous foot and a shade."""
    height, radius = kit.uniform(0.4, 0.6), kit.uniform(0.12, 0.18)
    solids: list[Solid] = [
        blob("lamp", kit.colour(), (0, 0, 0), (0.14, 0.14, height * 0.55)),
        *_shade(kit, (0, 0, height * 0.5), radius, height * 0.5),
    ]
    return Piece(solids, 2 * radius, 2 * radius, height)


def _shade(kit: Kit, foot: tuple[float, float, float], radius: float, height: float) -> list[Solid]:
    glow = kit.uniform(0.4, 0.8) if kit.chance(0.5) else 0.0
    top = radius * kit.uniform(0.5, 0.9)
    return [tube("lamp", kit.colour(), foot, (radius, top), height, glow=glow)]


def books(kit: Kit) -> Piece:
    """A pile of books lying on each other."""
    solids: list[Solid] = []
    z = 0.0
    for _ in range(int(kit.rng.integers(2, 7))):
        size = (kit.uniform(0.18, 0.26), kit.uniform(0.24, 0.32), kit.uniform(0.03, 0.06))
        rotation = turn(kit.uniform(-25, 25))
        solids.append(box("books", kit.colour(), (0, 0, z), size, rotation=rotation))
        z += size[2]
    return Piece(solids, 0.3, 0.36, z)


def carton(kit: Kit) -> Piece:
    """A box, often with a smaller one on it."""
    size = (kit.uniform(0.3, 0.6), kit.uniform(0.3, 0.5), kit.uniform(0.25, 0.5))
    texture = kit.texture(textures.uneven, textures.stripes)
    solids: list[Solid] = [box("box", kit.colour(), (0, 0, 0), size, texture=texture)]
    height = size[2]
    if kit.chance(0.5):
        smaller = tuple(kit.uniform(0.55, 0.9) * side for side in size)
        rotation = turn(kit.uniform(-30, 30))
        solids.append(
            box("box", kit.colour(), (0, 0, height), smaller, rotation=rotation,
                texture=kit.texture(textures.uneven))
        )  # fmt: skip
        height += smaller[2]
    return Piece(solids, size[0] + 0.05, size[1] + 0.05, height)


def bag(kit: Kit) -> Piece:
    """A bag: a bulging body with a flat bottom and two handles."""
    width, depth, height = kit.uniform(0.4, 0.6), kit.uniform(0.2, 0.3), kit.uniform(0.34, 0.48)
    body, straps = kit.colour(), kit.colour()
    texture = kit.texture(textures.cloth)
    arch = height * 0.8
    solids: list[Solid] = [
        blob("bag", body, (0, 0, -0.06), (width, depth, height + 0.1), texture=texture),
        box("bag", body, (0, 0, 0), (width * 0.8, depth * 0.7, height * 0.45), texture=texture),
        *pair("bag", straps, (width * 0.25, 0, arch), (0.03, 0.03, 0.28)),
        box("bag", straps, (0, 0, arch + 0.25), (width * 0.5 + 0.03, 0.03, 0.03)),
    ]
    return Piece(solids, width, depth, height + 0.25)


def person(kit: Kit) -> Piece:
    """A standing person."""
    tall = kit.uniform(1.55, 1.9)
    trousers, shirt, hair = kit.colour(), kit.colour(), kit.colour()
    skin_shade = kit.uniform(0.35, 1.0)
    skin = (235 * skin_shade, 190 * skin_shade, 160 * skin_shade)
    hip, neck = 0.5 * tall, 0.82 * tall
    cloth = kit.texture(textures.cloth, textures.stripes)
    solids: list[Solid] = [
        blob("person", skin, (0, -0.01, 0.85 * tall), (0.17, 0.2, 0.15 * tall)),
        blob("person", hair, (0, 0.02, 0.9 * tall), (0.19, 0.2, 0.1 * tall)),
        tube("person", skin, (0, 0, neck), 0.06, 0.06 * tall),
        tube("person", shirt, (0, 0, hip), (0.17, 0.2), neck - hip, texture=cloth),
    ]
    for sign in (-1, 1):
        leg = (sign * 0.1, 0, 0)
        solids.append(tube("person", trousers, leg, (0.07, 0.1), hip + 0.02, texture=cloth))
        swing = tilt(kit.uniform(-25, 25))
        arm = (sign * 0.25, 0, hip - 0.02)
        solids.append(tube("person", shirt, arm, (0.045, 0.06), neck - hip, rotation=swing))
    return Piece(solids, 0.55, 0.4, tall)


FREE: dict[str, Callable[[Kit], Piece]] = {
    "table": table, "chair": chair, "person": person, "box": carton, "bag": bag, "lamp": lamp,
}  # fmt: skip
"""What stands anywhere on the floor."""

AT_WALL: dict[str, Callable[[Kit], Piece]] = {
    "bed": bed, "sofa": sofa, "desk": desk, "cabinet": cabinet, "dresser": dresser,
    "bookshelf": bookshelf, "counter": counter, "refrigerator": refrigerator,
    "television": television, "lamp": lamp, "box": carton, "table": table,
}  # fmt: skip
"""What stands with its back to a wall."""
