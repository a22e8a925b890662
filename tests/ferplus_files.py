"""FER2013 and FER+ files as they are downloaded, with a few rows."""

from fer_hf.data.layouts.ferplus import VOTE_COLUMNS

# neutral happiness surprise sadness anger disgust fear contempt unknown NF
NEUTRAL = [10, 0, 0, 0, 0, 0, 0, 0, 0, 0]
HAPPY = [1, 9, 0, 0, 0, 0, 0, 0, 0, 0]
UNKNOWN = [2, 0, 0, 0, 0, 0, 0, 0, 8, 0]
NO_FACE = [0, 0, 0, 0, 0, 0, 0, 0, 0, 10]
HALF = [5, 5, 0, 0, 0, 0, 0, 0, 0, 0]
SINGLES = [1, 1, 1, 1, 1, 1, 1, 1, 1, 1]
ONE_FEAR = [0, 0, 0, 0, 0, 0, 1, 0, 4, 5]
# 4 of 10 is under half, but once the single votes are gone 4 of 6 is over it.
OVER_HALF_OF_THE_REST = [1, 1, 4, 2, 1, 1, 0, 0, 0, 0]
UNDER_HALF = [4, 3, 3, 0, 0, 0, 0, 0, 0, 0]
TIE_WITH_UNKNOWN = [0, 0, 0, 5, 0, 0, 0, 0, 5, 0]
ROWS = [
    # usage, FER2013's label, votes, level of grey
    ("Training", 6, NEUTRAL, 10),
    ("Training", 3, HAPPY, 20),
    ("Training", 5, UNDER_HALF, 30),
    ("Training", 0, NO_FACE, 40),
    ("Training", 4, OVER_HALF_OF_THE_REST, 45),
    ("PublicTest", 6, NEUTRAL, 50),
    ("PublicTest", 3, UNDER_HALF, 60),
    ("PrivateTest", 3, HAPPY, 70),
    ("PrivateTest", 5, UNKNOWN, 80),
]


def write_fer2013(folder, rows=ROWS, size=48 * 48):
    lines = ["emotion,pixels,Usage"]
    lines += [f"{label},{' '.join([str(grey)] * size)},{usage}" for usage, label, _, grey in rows]
    (folder / "fer2013.csv").write_text("\n".join(lines) + "\n")
    return folder / "fer2013.csv"


def write_votes(path, rows=ROWS, unnamed=()):
    lines = ["Usage,Image name," + ",".join(VOTE_COLUMNS)]
    for number, (usage, _, votes, _) in enumerate(rows):
        name = "" if number in unnamed else f"fer{number:07}.png"
        lines.append(f"{usage},{name},{','.join(map(str, votes))}")
    path.write_text("\n".join(lines) + "\n")
    return path
