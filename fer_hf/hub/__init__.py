"""To the Hub: a run as a model, the demo as a Space, a source of pictures as a data set."""

from fer_hf.hub.commits import Pushed, check_login
from fer_hf.hub.datasets import push_dataset
from fer_hf.hub.models import push_model
from fer_hf.hub.spaces import find_app, push_space

__all__ = ["Pushed", "check_login", "find_app", "push_dataset", "push_model", "push_space"]
