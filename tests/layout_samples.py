"""Tiny made samples of the layouts that data sets are downloaded in, and the label of each picture.

A sample is what a path holds: `PICTURE`, a text, or an array; and for each of its pictures the
label it must get, None for one that must be left out.
"""

import colorsys
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from PIL import Image

PICTURE = object()


@dataclass(frozen=True)
class Sample:
    """A made source.

    Attributes:
        layout: The layout it must be recognised as.
        labels: The label of each picture by its path; None where it must be left out.
        files: What the other files hold.
        splits: The split of each picture by its path, where the source says it.
        options: What `load_splits` is told.
        counts: The pictures of each label, where they are not files of their own: faces cut out of
            the files of `labels`, or pixels in a table.
    """

    layout: str
    labels: dict[str, str | None]
    files: dict[str, object] = field(default_factory=dict)
    splits: dict[str, str] = field(default_factory=dict)
    options: dict[str, object] = field(default_factory=dict)
    counts: dict[str, int] = field(default_factory=dict)


def write_sample(root: Path, sample: Sample) -> Path:
    """Write the files of a sample below `root`; every picture differs from all others."""
    for number, path in enumerate(sample.labels):
        file = root / path
        file.parent.mkdir(parents=True, exist_ok=True)
        red, green, blue = colorsys.hsv_to_rgb(number / len(sample.labels), 1, 1)
        colour = (round(255 * red), round(255 * green), round(255 * blue))
        Image.new("RGB", (16, 16 + number % 7), colour).save(file)
    for path, content in sample.files.items():
        file = root / path
        file.parent.mkdir(parents=True, exist_ok=True)
        if isinstance(content, np.ndarray):
            np.save(file, content)
        elif isinstance(content, bytes):
            file.write_bytes(content)
        else:
            file.write_text(str(content), encoding="utf-8")
    return root


def _codes(form: str, codes: dict[str, str], count: int = 4) -> dict[str, str | None]:
    """Name `count` pictures of each code: `form` with the code for `{}` and a number for `#`."""
    return {
        form.replace("{}", code).replace("#", str(number)): label
        for code, label in codes.items()
        for number in range(count)
    }


_SEVEN = {
    **{"angry": "anger", "disgust": "disgust", "fear": "fear", "happy": "happy"},
    **{"neutral": "neutral", "sad": "sad", "surprise": "surprise"},
}
_LETTERS = {
    **{"AN": "anger", "DI": "disgust", "FE": "fear", "HA": "happy", "NE": "neutral"},
    **{"SA": "sad", "SU": "surprise"},
}
_AFFECTNET = ("neutral", "happy", "sad", "surprise", "fear", "disgust", "anger", "contempt")
_RAF_DB = ("surprise", "fear", "disgust", "happy", "sad", "anger", "neutral")


def _affectnet() -> Sample:
    labels, files, splits = {}, {}, {}
    for folder, split in (("train_set", "train"), ("val_set", "validation")):
        for number in range(20):
            code = number % 9
            path = f"{folder}/images/{number}.jpg"
            labels[path] = _AFFECTNET[code] if code < 8 else None
            splits[path] = split
            stem = f"{folder}/annotations/{number}"
            files[f"{stem}_exp.npy"] = np.array(str(code))
            files[f"{stem}_val.npy"] = np.array("0.5")
            files[f"{stem}_aro.npy"] = np.array("-0.5")
            files[f"{stem}_lnd.npy"] = np.zeros(136)
    return Sample("affectnet", labels, files, splits)


def _raf_db_folders() -> Sample:
    labels, splits = {}, {}
    for split, digits in (("train", 5), ("test", 4)):
        for number in range(14):
            code = number % 7
            path = f"DATASET/{split}/{code + 1}/{split}_{number + 1:0{digits}}_aligned.jpg"
            labels[path], splits[path] = _RAF_DB[code], split
    return Sample("raf-db-folders", labels, {}, splits)


def _ck_plus() -> Sample:
    labels, files = {}, {}
    names = ("neutral", "anger", "contempt", "disgust", "fear", "happy", "sad", "surprise")
    for person in range(4):
        for code in range(1, 8):
            stem = f"S{person:03}/{code:03}/S{person:03}_{code:03}_000000"
            labels[f"cohn-kanade-images/{stem}01.png"] = None
            labels[f"cohn-kanade-images/{stem}14.png"] = names[code]
            files[f"Emotion/{stem}14_emotion.txt"] = f"   {code}.0000000e+00\n"
            files[f"FACS/{stem}14_facs.txt"] = "   9.0000000e+00   4.0000000e+00\n"
            files[f"Landmarks/{stem}01_landmarks.txt"] = "   1.0e+00   4.0e+00\n" * 3
    return Sample("ck-plus", labels, files)


def _ferplus() -> Sample:
    """Pictures with 8 votes for one emotion and 2 for another; every ninth is no face to most."""
    order = ("neutral", "happy", "surprise", "sad", "anger", "disgust", "fear", "contempt")
    labels, files, splits, rows = {}, {}, {}, {}
    for number in range(48):
        split, folder = (
            ("train", "FER2013Train"),
            ("validation", "FER2013Valid"),
            ("test", "FER2013Test"),
        )[number % 3]
        choice = (number // 3) % 9
        votes = [0] * 10
        votes[choice if choice < 8 else 9] = 8
        votes[(choice + 1) % 8] = 2
        path = f"data/{folder}/fer{number:07}.png"
        labels[path], splits[path] = (order[choice] if choice < 8 else None), split
        box = ',"(0, 0, 48, 48)"' if number % 2 else ""
        row = f"fer{number:07}.png{box},{','.join(map(str, votes))}"
        rows.setdefault(f"data/{folder}/label.csv", []).append(row)
    files = {file: "\n".join(lines) + "\n" for file, lines in rows.items()}
    return Sample("ferplus", labels, files, splits)


def _raf_db() -> Sample:
    labels, splits, lines = {}, {}, []
    for number in range(28):
        split, digits = ("train", 5) if number % 2 else ("test", 4)
        name = f"{split}_{number:0{digits}}"
        labels[f"basic/Image/aligned/{name}_aligned.jpg"] = _RAF_DB[number % 7]
        labels[f"basic/Image/original/{name}.jpg"] = None
        splits[f"basic/Image/aligned/{name}_aligned.jpg"] = split
        lines.append(f"{name}.jpg {number % 7 + 1}")
    return Sample(
        "raf-db", labels, {"basic/EmoLabel/list_patition_label.txt": "\n".join(lines)}, splits
    )


_FER2013 = ("anger", "disgust", "fear", "happy", "sad", "surprise", "neutral")


def _expw() -> Sample:
    rows = [f"afraid_boss_{n}.jpg 0 1 1 12 12 9.5 {n % 7}" for n in range(28)]
    rows[:0] = ["afraid_boss_0.jpg 1 2 2 14 14 9.5 3", rows[0]]
    return Sample(
        "expw",
        {f"image/origin/afraid_boss_{n}.jpg": None for n in range(28)},
        {"label/label.lst": "\n".join(rows)},
        counts={
            **dict.fromkeys(("anger", "disgust", "fear", "sad", "surprise", "neutral"), 4),
            "happy": 5,
        },
    )


def _affectnet_csv() -> Sample:
    header = "subDirectory_filePath,face_x,face_y,face_width,face_height,facial_landmarks,"
    labels, files = {}, {}
    for name, count in (("training", 44), ("validation", 11)):
        lines = [header + "expression,valence,arousal"]
        for number in range(count):
            picture, code = f"{number % 3}/{name}{number}.jpg", number % 11
            labels[f"Manually_Annotated_Images/{picture}"] = None
            box = "1,1,12,12" if code < 8 else "NULL,NULL,NULL,NULL"
            lines.append(f"{picture},{box},1.5;2.5,{code},-2,-2")
        files[f"Manually_Annotated_file_lists/{name}.csv"] = "\n".join(lines)
    return Sample("affectnet-csv", labels, files, counts=dict.fromkeys(_AFFECTNET, 5))


def _yolo() -> Sample:
    labels, files = {}, {"YOLO_format/data.yaml": "nc: 3\nnames: [Anger, Contempt, Disgust]\n"}
    for split in ("train", "valid", "test"):
        for number in range(6):
            labels[f"YOLO_format/{split}/images/{split}{number}.png"] = None
            file = f"YOLO_format/{split}/labels/{split}{number}.txt"
            files[file] = f"{number % 3} 0.5 0.5 0.9 0.9\n"
    counts = {"anger": 6, "contempt": 6, "disgust": 6}
    return Sample("yolo", labels, files, counts=counts)


def _pixels(header: str, codes: int, usages: tuple[str, ...]) -> str:
    rows = [header]
    for number in range(codes * 6):
        cells = {
            "emotion": str(number % codes),
            "pixels": " ".join([str(number)] * 2304),
            "Usage": usages[number // codes % len(usages)],
        }
        rows.append(",".join(cells[name.strip()] for name in header.split(",")))
    return "\n".join(rows)


def _listed(text: str, name: str = "labels.csv") -> Sample:
    """Twelve pictures in `img/` and a list; ``{}`` in it is for the rows."""
    labels = {f"img/{n:03}.png": ("anger", "happy", "sad")[n % 3] for n in range(12)}
    return Sample("table", labels, {name: text})


_USAGES = ("Training", "Training", "PublicTest", "PrivateTest")

SAMPLES = {
    "RAF-DB": _raf_db(),
    "ExpW": _expw(),
    "AffectNet's lists": _affectnet_csv(),
    "AffectNet for YOLO": _yolo(),
    "FER2013": Sample(
        "fer2013",
        {},
        {"icml_face_data.csv": _pixels("emotion, Usage, pixels", 7, _USAGES)},
        counts=dict.fromkeys(_FER2013, 6),
    ),
    "CK+ as a table": Sample(
        "fer2013",
        {},
        {"ckextended.csv": _pixels("emotion,pixels,Usage", 8, _USAGES)},
        counts=dict.fromkeys((*_FER2013, "contempt"), 6),
    ),
    "SFEW 2.0 with its table": Sample(
        "table",
        {f"sfew2.0_images/image_{n:06}.png": _FER2013[n % 7] for n in range(28)},
        {
            "sfew_2.0_labels.csv": "image_name,label,emotion,original_split\n"
            + "\n".join(
                f"image_{n:06}.png,{n % 7},{_FER2013[n % 7]},{w}_Aligned_Faces"
                for n in range(28)
                for w in (("Train", "Val")[n // 7 % 2],)
            )
        },
        {
            f"sfew2.0_images/image_{n:06}.png": ("train", "validation")[n // 7 % 2]
            for n in range(28)
        },
    ),
    "AffectNet with Kaggle's labels.csv": Sample(
        "table",
        {
            f"{word}/image{n:07}.jpg": ("happy", "sad", "anger")[n % 3]
            for n in range(12)
            for word in (("anger", "happy", "sad")[n % 3],)
        },
        {
            "labels.csv": ",pth,label,relFCs\n"
            + "\n".join(
                f"{n},{('anger', 'happy', 'sad')[n % 3]}/image{n:07}.jpg,"
                f"{('happy', 'sad', 'anger')[n % 3]},0.87"
                for n in range(12)
            )
        },
    ),
    "a German table from Excel": _listed(
        "\ufeffNr;Datei;Gefühl\n"
        + "\n".join(
            f"{n};C:\\Bilder\\img\\{n:03}.png;{('Wut', 'Freude', 'Trauer')[n % 3]}"
            for n in range(12)
        )
    ),
    "a list of numbers and a file of names": Sample(
        "table",
        {f"img/{n}.png": ("anger", "happy", "sad")[n % 3] for n in range(12)},
        {
            "labels.txt": "\n".join(f"{n}.png {n % 3}" for n in range(12)),
            "classes.txt": "Wut\nFreude\nTrauer\n",
        },
    ),
    "a list beside the pictures of each split, all of the same names": Sample(
        "table",
        {
            f"{split}/images/{n}.png": ("anger", "happy", "sad")[(n + shift) % 3]
            for shift, split in enumerate(("train", "test"))
            for n in range(9)
        },
        {
            f"{split}/labels.csv": "name,emotion\n"
            + "\n".join(f"{n}.png,{('angry', 'joy', 'sad')[(n + shift) % 3]}" for n in range(9))
            for shift, split in enumerate(("train", "test"))
        },
        {f"{split}/images/{n}.png": split for split in ("train", "test") for n in range(9)},
    ),
    "a list without a header": _listed(
        "\n".join(f"{n:03}.png {('angry', 'joy', 'sadness')[n % 3]}" for n in range(12)), "list.txt"
    ),
    "FER+ as its code writes it": _ferplus(),
    "AffectNet, unpacked": _affectnet(),
    "AffectNet as Kaggle's word folders": Sample(
        "folders",
        {
            **_codes("archive/AffectNet/train/{}/image000000#.jpg", _SEVEN),
            **_codes("archive/AffectNet/val/{}/image000001#.jpg", _SEVEN, 1),
        },
        {"archive/AffectNet/readme.txt": "cite us"},
    ),
    "RAF-DB as Kaggle's numbered folders": _raf_db_folders(),
    "FER2013 as numbered folders": Sample(
        "fer2013-folders",
        {
            **_codes("train/{}/Training_#908.jpg", {str(n): e for n, e in enumerate(_FER2013)}),
            **_codes("test/{}/PrivateTest_#3.jpg", {str(n): e for n, e in enumerate(_FER2013)}, 1),
        },
    ),
    "SFEW 2.0": Sample(
        "folders",
        {
            **_codes("SFEW/Train/Train_Aligned_Faces/{}/Airheads_00051924#_00000005.png", _SEVEN),
            **_codes("SFEW/Val/Val_Aligned_Faces/{}/Airheads_00051925#_00000005.png", _SEVEN, 1),
            "SFEW/Test/Test_Aligned_Faces/Airheads_000519260_00000005.png": None,
        },
    ),
    "CK+ as its four zips": _ck_plus(),
    "CK+48": Sample(
        "folders",
        _codes(
            "ckplus/CK+48/{}/S01#_004_00000017.png",
            {
                **{"anger": "anger", "contempt": "contempt", "disgust": "disgust", "fear": "fear"},
                **{"happy": "happy", "sadness": "sad", "surprise": "surprise"},
            },
        ),
    ),
    "KDEF": Sample(
        "kdef",
        {
            **{
                f"KDEF_and_AKDEF/KDEF/{who}/{who}{code}{view}.JPG": label
                for who in ("AF01", "AF02", "BF01", "AM01", "BM22")
                for code, label in {**_LETTERS, "AF": "fear"}.items()
                for view in ("S", "HL", "FR")
                if code != "FE"
            },
            "KDEF_and_AKDEF/KDEF/AF31/AF31V.JPG": None,
            "KDEF_and_AKDEF/AKDEF/FAFS.JPG": None,
        },
    ),
    "JAFFE": Sample(
        "jaffe",
        {
            f"jaffedbase/jaffe/{who}.{code}{take}.{39 + take}.tiff": label
            for who in ("KA", "KL", "YM")
            for code, label in _LETTERS.items()
            for take in (1, 2)
        },
        {"jaffedbase/jaffe/README": "# HAP SAD"},
    ),
    "FER2013 as folders": Sample(
        "folders",
        {
            **_codes("fer2013/train/{}/Training_#908.jpg", _SEVEN),
            **_codes("fer2013/test/{}/PrivateTest_#305.jpg", _SEVEN, 1),
        },
    ),
    "FERG": Sample(
        "folders",
        {
            f"FERG_DB_256/{who}/{who}_{word}/{who}_{word}_{number}.png": label
            for who in ("aia", "bonnie", "ray")
            for word, label in {
                **{"anger": "anger", "disgust": "disgust", "fear": "fear", "joy": "happy"},
                **{"neutral": "neutral", "sadness": "sad", "surprise": "surprise"},
            }.items()
            for number in (1, 2)
        },
        {"FERG_DB_256/README.txt": "joy 100"},
    ),
    "MUG": Sample(
        "folders",
        {
            f"MUG/subjects3/{who}/{word}/take00{take}/img_000{take}.jpg": label
            for who in ("001", "006", "002/session0")
            for word, label in {
                **{"anger": "anger", "disgust": "disgust", "fear": "fear"},
                **{"happiness": "happy", "neutral": "neutral", "sadness": "sad"},
                "surprise": "surprise",
            }.items()
            for take in (0, 1)
        },
    ),
    "Oulu-CASIA": Sample(
        "folders",
        {
            f"OriginalImg/{light}/Strong/{who}/{word}/00{number}.jpeg": label
            for light in ("VL", "NI")
            for who in ("P001", "P012")
            for word, label in {
                **{"Anger": "anger", "Disgust": "disgust", "Fear": "fear"},
                **{"Happiness": "happy", "Sadness": "sad", "Surprise": "surprise"},
            }.items()
            for number in (0, 1)
        },
    ),
    "RaFD": Sample(
        "file-names",
        {
            f"RafD/Rafd090_{who}_{word}_{gaze}.jpg": label
            for who in ("01_Caucasian_female", "72_Moroccan_male")
            for word, label in {
                **{"angry": "anger", "contemptuous": "contempt", "disgusted": "disgust"},
                **{"fearful": "fear", "happy": "happy", "neutral": "neutral", "sad": "sad"},
                "surprised": "surprise",
            }.items()
            for gaze in ("frontal", "left")
        },
    ),
    "NimStim": Sample(
        "nimstim",
        {
            f"NimStim/{who}_{code}_{mouth}.BMP": label
            for who in ("01F", "27M", "02f")
            for code, label in {
                **{k: v for k, v in _LETTERS.items() if k != "SU"},
                **{"SP": "surprise", "CA": "calm"},
            }.items()
            for mouth in ("O", "C")
        },
    ),
    "BU-3DFE": Sample(
        "bu-3dfe",
        {
            f"BU_3DFE/{who}/{who}_{code}0{level}WH_F2D.bmp": label
            for who in ("F0001", "M0002")
            for code, label in _LETTERS.items()
            for level in (1, 2)
        },
    ),
    "KMU-FED": Sample(
        "kmu-fed",
        {
            f"KMU-FED/KMU-FED/0{who}_{code}_mr_00{who}.jpg": label
            for who in (1, 2, 3)
            for code, label in _LETTERS.items()
            if code != "NE"
        },
    ),
    "FACES": Sample(
        "faces",
        {
            f"FACES/{who}_{letter}_{picture}.jpg": label
            for who in ("004_o_m", "066_y_m", "140_y_f")
            for letter, label in {
                **{"a": "anger", "d": "disgust", "f": "fear", "h": "happy", "n": "neutral"},
                "s": "sad",
            }.items()
            for picture in "ab"
        },
    ),
    "Chicago Face Database": Sample(
        "cfd",
        {
            f"CFD Version 3.0/Images/CFD/WF-00{who}/CFD-WF-00{who}-00{number}-{code}.jpg": label
            for who in (1, 2, 3)
            for number, (code, label) in enumerate(
                {"N": "neutral", "A": "anger", "F": "fear", "HC": "happy", "HO": "happy"}.items()
            )
        },
    ),
    "Bosphorus": Sample(
        "bosphorus",
        {
            f"BosphorusDB/bs00{who}/bs00{who}_{code}_0.png": label
            for who in (1, 2, 3)
            for code, label in {
                **{"E_ANGER": "anger", "E_DISGUST": "disgust", "E_FEAR": "fear"},
                **{"E_HAPPY": "happy", "E_SADNESS": "sad", "E_SURPRISE": "surprise"},
                "N_N": "neutral",
            }.items()
        },
    ),
    "ADFES": Sample(
        "adfes",
        {
            f"ADFES/{who}-{word}-Apex.jpg": label
            for who in ("F01", "F02", "M01")
            for word, label in {
                **{"Anger": "anger", "Contempt": "contempt", "Disgust": "disgust"},
                **{"Embarrass": "embarrass", "Fear": "fear", "Joy": "happy", "Pride": "pride"},
                **{"Neutral": "neutral", "Sad": "sad", "Surprise": "surprise"},
            }.items()
        },
    ),
    "Yale faces": Sample(
        "yale",
        {
            f"yalefaces/subject0{who}.{word}.gif": label
            for who in (1, 2, 3)
            for word, label in {
                **{"happy": "happy", "normal": "neutral", "sad": "sad", "surprised": "surprise"},
                **{"glasses": None, "sleepy": None, "leftlight": None},
            }.items()
        },
    ),
    "CREMA-D frames": Sample(
        "crema-d",
        {
            f"CREMA-D/{who}_DFA_{code}_XX/{frame}.jpg": label
            for who in (1001, 1002)
            for code, label in {
                **{"ANG": "anger", "DIS": "disgust", "FEA": "fear", "HAP": "happy"},
                **{"NEU": "neutral", "SAD": "sad"},
            }.items()
            for frame in (1, 2)
        },
    ),
    "RAVDESS frames": Sample(
        "ravdess",
        {
            f"Actor_0{who}/02-01-0{code}-01-01-01-0{who}/{frame}.jpg": label
            for who in (1, 2)
            for code, label in enumerate(
                ("neutral", "calm", "happy", "sad", "anger", "fear", "disgust", "surprise"), 1
            )
            for frame in (1, 2)
        },
    ),
    "words in file names": Sample("file-names", _codes("{}_0#.jpg", _SEVEN)),
    "a person a folder, the label in the name": Sample(
        "file-names",
        {
            f"images/{who}/{word}.jpg": label
            for who in range(6)
            for word, label in {
                **{"Anger": "anger", "Contempt": "contempt", "Disgust": "disgust"},
                **{"Fear": "fear", "Happy": "happy", "Neutral": "neutral", "Sad": "sad"},
                "Surprised": "surprise",
            }.items()
        },
    ),
    "codes in file names": Sample("file-names", _codes("img-0#-{}-x.png", _LETTERS)),
    "a pattern": Sample(
        "file-names",
        {
            f"{who}x{code}{number}.png": label
            for who in ("a", "b")
            for code, label in _LETTERS.items()
            for number in (1, 2)
        },
        options={"label_pattern": r"^[ab]x(?P<label>[A-Z]{2})"},
    ),
    "a zip's folder in a folder": Sample(
        "folders",
        {
            **_codes("archive/dataset/Train/{}/#.png", _SEVEN),
            **_codes("archive/dataset/Test/{}/1#.png", _SEVEN, 1),
            "__MACOSX/archive/._0.png": None,
        },
    ),
    "numbered word folders": Sample(
        "folders",
        _codes("{}/#.png", {"0_neutral": "neutral", "1_happiness": "happy", "2_Anger": "anger"}),
    ),
    "labels above splits": Sample(
        "folders",
        {
            f"{word}/{split}/{number}{split}.png": label
            for word, label in _SEVEN.items()
            for split in ("train", "val", "test")
            for number in (1, 2)
        },
    ),
    "German label folders": Sample(
        "folders",
        _codes(
            "{}/#.png",
            {
                **{"Wut": "anger", "Verachtung": "contempt", "Ekel": "disgust", "Angst": "fear"},
                **{"Freude": "happy", "Neutral": "neutral", "Trauer": "sad"},
                "Überraschung": "surprise",
            },
        ),
    ),
    "WebDataset, unpacked": Sample(
        "sidecars",
        {f"shard/{number:05}.jpg": ("anger", "happy", "sad")[number % 3] for number in range(12)},
        {f"shard/{number:05}.cls": str(number % 3) for number in range(12)}
        | {"classes.txt": "angry\nhappy\nsad\n"},
    ),
    "WebDataset with numbers and names": Sample(
        "sidecars",
        {f"shard/{number:05}.jpg": ("anger", "happy", "sad")[number % 3] for number in range(12)},
        {f"shard/{number:05}.cls": str(number % 3) for number in range(12)}
        | {
            f"shard/{number:05}.json": f'{{"label": "{("Wut", "joy", "SAD")[number % 3]}"}}'
            for number in range(12)
        },
    ),
    "a JSON file for each picture": Sample(
        "sidecars",
        {f"images/{number}.png": ("anger", "happy")[number % 2] for number in range(12)},
        {
            f"labels/{number}.json": f'{{"emotion": "{("angry", "joy")[number % 2]}", "age": 3}}'
            for number in range(12)
        },
    ),
}
