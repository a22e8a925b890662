"""Pictures: from files of any layout to the same three splits, and from pictures to tensors."""

from fer_hf.data.sources import LAYOUTS, load_splits

__all__ = ["LAYOUTS", "load_splits"]
