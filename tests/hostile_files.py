"""The corpus of hostile sources: all of them by name, kept as code that makes them."""

from hostile_containers import ARCHIVES, ARRAYS
from hostile_folders import FOLDERS, SIDECARS
from hostile_lists import LISTS
from hostile_models import MODELS
from hostile_names import NAMES
from hostile_pictures import PICTURES

CORPUS = {**PICTURES, **NAMES, **FOLDERS, **SIDECARS, **ARRAYS, **ARCHIVES, **MODELS, **LISTS}
