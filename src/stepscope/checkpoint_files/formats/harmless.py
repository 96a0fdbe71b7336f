"""Names of classes and functions that checkpoints ask for, and that run nobody's code.

Naming one here lets a file through; nothing here is ever imported or called. The list is what the
frameworks write into their own checkpoints. A class of the program that trained is not in it.
"""

from stepscope.checkpoint_files.content import ITEM_BYTES
from stepscope.checkpoint_files.formats.tensors import STORAGE_DTYPES

RENAMED_MODULES = {"__builtin__": "builtins", "copy_reg": "copyreg"}  # of Python 2, and protocol 2

DTYPES = {f"torch.{name}": name for name in ITEM_BYTES}

DICTIONARIES = frozenset(
    {
        "builtins.dict",
        "collections.Counter",
        "collections.OrderedDict",
        "collections.defaultdict",
        "lightning.fabric.utilities.data.AttributeDict",
        "lightning.pytorch.utilities.parsing.AttributeDict",
        "lightning_fabric.utilities.data.AttributeDict",
        "mmengine.config.config.ConfigDict",
        "pytorch_lightning.utilities.parsing.AttributeDict",
    }
)

_OTHERS = """
_codecs.encode
argparse.Namespace
builtins.bool
builtins.bytearray
builtins.bytes
builtins.complex
builtins.float
builtins.frozenset
builtins.int
builtins.list
builtins.object
builtins.range
builtins.set
builtins.slice
builtins.str
builtins.tuple
collections.deque
copyreg._reconstructor
datetime.date
datetime.datetime
datetime.time
datetime.timedelta
datetime.timezone
decimal.Decimal
fractions.Fraction
mmengine.config.config.Config
mmengine.logging.history_buffer.HistoryBuffer
numpy.core.multiarray._reconstruct
numpy.core.multiarray.scalar
numpy._core.multiarray._reconstruct
numpy._core.multiarray.scalar
numpy._core.numeric._frombuffer
numpy.core.numeric._frombuffer
numpy.dtype
numpy.ndarray
numpy.random._pickle.__bit_generator_ctor
numpy.random._pickle.__generator_ctor
numpy.random._pickle.__randomstate_ctor
numpy.random._mt19937.MT19937
numpy.random._pcg64.PCG64
omegaconf.base.ContainerMetadata
omegaconf.base.Metadata
omegaconf.dictconfig.DictConfig
omegaconf.listconfig.ListConfig
omegaconf.nodes.AnyNode
omegaconf.nodes.BooleanNode
omegaconf.nodes.BytesNode
omegaconf.nodes.EnumNode
omegaconf.nodes.FloatNode
omegaconf.nodes.IntegerNode
omegaconf.nodes.PathNode
omegaconf.nodes.StringNode
pathlib.Path
pathlib.PosixPath
pathlib.PurePath
pathlib.PurePosixPath
pathlib.PureWindowsPath
pathlib.WindowsPath
pathlib._local.Path
pathlib._local.PosixPath
pathlib._local.PurePosixPath
pathlib._local.WindowsPath
torch.Generator
torch.Size
torch.Tensor
torch._tensor._rebuild_from_type_v2
torch._utils._rebuild_device_tensor_from_cpu_tensor
torch._utils._rebuild_device_tensor_from_numpy
torch._utils._rebuild_meta_tensor_no_storage
torch._utils._rebuild_parameter
torch._utils._rebuild_parameter_with_state
torch._utils._rebuild_qtensor
torch._utils._rebuild_sparse_tensor
torch._utils._rebuild_tensor
torch._utils._rebuild_tensor_v2
torch._utils._rebuild_tensor_v3
torch._utils._rebuild_wrapper_subclass
torch.contiguous_format
torch.channels_last
torch.preserve_format
torch.device
torch.distributed._shard.sharded_tensor.metadata.TensorProperties
torch.distributed._tensor.api.DTensor
torch.distributed._tensor.placement_types.DTensorSpec
torch.distributed._tensor.placement_types.Replicate
torch.distributed._tensor.placement_types.Shard
torch.distributed._tensor.placement_types.TensorMeta
torch.distributed.checkpoint.filesystem._StorageInfo
torch.distributed.checkpoint.filesystem._StoragePrefix
torch.distributed.checkpoint.metadata.BytesStorageMetadata
torch.distributed.checkpoint.metadata.ChunkStorageMetadata
torch.distributed.checkpoint.metadata.Metadata
torch.distributed.checkpoint.metadata.MetadataIndex
torch.distributed.checkpoint.metadata.StorageMeta
torch.distributed.checkpoint.metadata.TensorProperties
torch.distributed.checkpoint.metadata.TensorStorageMetadata
torch.distributed.checkpoint.metadata._MEM_FORMAT_ENCODING
torch.distributed.device_mesh.DeviceMesh
torch.distributed.tensor.DTensor
torch.distributed.tensor._api.DTensor
torch.distributed.tensor._dtensor_spec.DTensorSpec
torch.distributed.tensor._dtensor_spec.TensorMeta
torch.distributed.tensor.placement_types.Partial
torch.distributed.tensor.placement_types.Replicate
torch.distributed.tensor.placement_types.Shard
torch.nn.parameter.Buffer
torch.nn.parameter.Parameter
torch.optim.lr_scheduler.OneCycleLR
torch.per_channel_affine
torch.per_channel_affine_float_qparams
torch.per_tensor_affine
torch.qint8
torch.quint8
torch.qint32
torch.serialization._get_layout
torch.storage.TypedStorage
torch.torch_version.TorchVersion
types.SimpleNamespace
typing.Any
uuid.UUID
"""

# Settings that Transformers and Accelerate save beside the weights.
_SETTINGS = """
accelerate.state.PartialState
accelerate.utils.dataclasses.DistributedType
accelerate.utils.dataclasses.DynamoBackend
transformers.trainer_pt_utils.AcceleratorConfig
transformers.trainer_utils.HubStrategy
transformers.trainer_utils.IntervalStrategy
transformers.trainer_utils.SaveStrategy
transformers.trainer_utils.SchedulerType
transformers.training_args.OptimizerNames
transformers.training_args.ParallelMode
transformers.training_args.TrainingArguments
transformers.training_args_seq2seq.Seq2SeqTrainingArguments
"""

# Lightning before 1.6 keyed the states of callbacks by their classes.
_CALLBACKS = """
pytorch_lightning.callbacks.early_stopping.EarlyStopping
pytorch_lightning.callbacks.lr_monitor.LearningRateMonitor
pytorch_lightning.callbacks.model_checkpoint.ModelCheckpoint
"""

HARMLESS = (
    frozenset((_OTHERS + _SETTINGS + _CALLBACKS).split())
    | DICTIONARIES
    | frozenset(STORAGE_DTYPES)
    | frozenset(DTYPES)
)


def is_harmless(name: str) -> bool:
    """Tell whether a file may ask for this name."""
    kind, _, dtype = name.rpartition(".")  # numpy.dtypes.Float64DType: one a dtype
    return name in HARMLESS or (kind == "numpy.dtypes" and dtype.endswith("DType"))
