"""Heat over pictures: where it is, how strong, and where it is not."""

import itertools

import numpy as np

from probe.pictures.heat import blend, colour_heat, scale_heat

GREY = 128

TO_XYZ = np.array([[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]])
WHITE = np.array([0.9505, 1.0, 1.089])


def to_lab(colours):
    """Colours of sRGB in CIELAB, where distances are about as large as they look."""
    linear = np.where(colours <= 0.04045, colours / 12.92, ((colours + 0.055) / 1.055) ** 2.4)
    share = linear @ TO_XYZ.T / WHITE
    x, y, z = np.moveaxis(
        np.where(share > 0.008856, np.cbrt(share), 7.787 * share + 16 / 116), -1, 0
    )
    return np.stack([116 * y - 16, 500 * (x - y), 200 * (y - z)], -1)


def test_a_glow_shows_on_a_ground_of_any_colour():
    grounds = np.array(list(itertools.product(np.linspace(0, 1, 6), repeat=3)))[:, None]
    colours = colour_heat(np.linspace(0, 1, 21))
    opacity = colours[:, 3:]
    mixed = to_lab((1 - opacity) * grounds + opacity * colours[:, :3])
    # A difference of 10 is seen at a glance.
    away = np.linalg.norm(mixed - to_lab(grounds), axis=-1)
    assert colours[0, 3] == 0
    assert away.max(1).min() > 40
    # Its core is lighter than its rim, also where one of the two is as the ground is.
    assert (mixed[:, -1, 0] - mixed[..., 0].min(1)).min() > 40


def test_outside_the_region_the_picture_stays_as_it_is():
    picture = np.random.default_rng(0).integers(0, 255, (50, 70, 3), np.uint8)
    before = picture.copy()
    mixed = blend(picture, np.ones((3, 3)), (10.0, 5.0, 60.0, 45.0))
    inside = np.zeros((50, 70), bool)
    inside[5:45, 10:60] = True
    assert (mixed[~inside] == picture[~inside]).all()
    assert (mixed[inside] != picture[inside]).any(-1).mean() > 0.9
    assert (picture == before).all()


def test_a_region_that_reaches_beyond_the_picture_is_cut_at_its_edge():
    picture = np.full((40, 60, 3), GREY, np.uint8)
    heat = np.zeros((6, 6))
    heat[0] = 1  # rows 0 to 10 of a region that starts 10 pixels above the picture
    mixed = blend(picture, heat, (0.0, -10.0, 60.0, 50.0))
    assert (mixed[20:] == GREY).all()


def test_more_heat_changes_the_picture_more():
    picture = np.full((40, 40, 3), GREY, np.uint8)
    changes = [
        np.abs(
            blend(picture, np.full((2, 2), level), (0.0, 0.0, 40.0, 40.0)).astype(int) - GREY
        ).sum()
        for level in (0.0, 0.4, 0.7, 1.0)
    ]
    assert changes[0] == 0
    assert changes == sorted(set(changes))


def test_half_of_a_map_is_cold_and_its_order_is_kept():
    values = np.random.default_rng(0).random((4, 5, 6))
    heat = scale_heat(values)
    assert (heat.min(), heat.max()) == (0, 1)
    assert (heat == 0).mean() == 0.5
    assert (np.diff(heat.ravel()[values.ravel().argsort()]) >= 0).all()


def test_a_map_of_one_cell_has_its_full_colour_there_and_an_even_map_has_none():
    values = np.zeros((3, 4, 4))
    assert (scale_heat(values + 0.2) == 0).all()
    values[1, 2, 3] = 0.01
    assert (scale_heat(values) == (values > 0)).all()
