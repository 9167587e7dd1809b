"""The figures about the edges of pasted edits, on the clip of the documentation."""

from pathlib import Path

from PIL import Image

from evenframe.benchmarks import seams


def test_the_rim_match_takes_the_drift_away_and_nothing_else():
    figures = {name: float(figure) for name, figure in seams.run().items()}
    for name, least in seams.FLOORS.items():
        assert float(figures[name]) >= least, name
    assert float(figures["seams.drift_255"]) > 4, "there is something to take away"
    assert float(figures["seams.rim_match_without_drift_255"]) <= 1


def test_the_picture_shows_every_edge_at_twice_its_size(tmp_path: Path):
    seams.picture(tmp_path / "seams.png")
    with Image.open(tmp_path / "seams.png") as drawn:
        rows, columns = seams.SHOWN
        assert drawn.width == seams.FRAMES * 2 * (columns.stop - columns.start)
        assert drawn.height > (len(seams.EDGES) + 1) * 2 * (rows.stop - rows.start)
