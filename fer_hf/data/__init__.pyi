from .layout import LoadOptions as LoadOptions
from .recognition import LAYOUTS as LAYOUTS
from .sources import load_splits as load_splits
