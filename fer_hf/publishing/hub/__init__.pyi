from .commits import Pushed as Pushed
from .commits import check_login as check_login
from .dataset_repo import push_dataset as push_dataset
from .model_repo import push_model as push_model
from .space_repo import find_app as find_app
from .space_repo import push_space as push_space
