"""Training: the workspace's own function, run as a tracked run that can be run again.

`service` prepares and watches, a child process (`__main__`) seeds everything and calls the
function with a `TrainingContext`.
"""

from triune.models.training.context import TrainingContext

__all__ = ["TrainingContext"]
