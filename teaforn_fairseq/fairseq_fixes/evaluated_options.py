"""Which options fairseq evaluates, and in which of its modules.

tests/test_safe_options_doors.py compares this with the installed fairseq.
"""

# Modules that call eval, and the options that they do it with.
CONV_FEATURES = ("conv_feature_layers",)
FCONV = ("encoder_layers", "decoder_layers", "decoder_attention")
READERS = {
    "fairseq.criterions.ctc": ("wer_args",),
    "fairseq.data.audio.raw_audio_dataset": ("feature_encoder_spec",),
    "fairseq.data.codedataset": (),  # lines of its data
    "fairseq.models.fconv": FCONV,
    "fairseq.models.fconv_lm": ("decoder_layers", "decoder_attention"),
    "fairseq.models.fconv_self_att": (
        *FCONV,
        *("encoder_attention", "self_attention", "project_input", "gated_attention"),
        *("downsample", "pretrained"),
    ),
    "fairseq.models.hubert.hubert": CONV_FEATURES,
    "fairseq.models.lightconv_lm": ("character_filters",),
    "fairseq.models.multires_hubert.multires_hubert": (*CONV_FEATURES, "override_encoder_layers"),
    "fairseq.models.speech_to_text.s2t_wav_transformer": CONV_FEATURES,
    "fairseq.models.transformer_lm": ("character_filters",),
    "fairseq.models.wav2vec.wav2vec": (*CONV_FEATURES, "conv_aggregator_layers"),
    "fairseq.models.wav2vec.wav2vec2": CONV_FEATURES,
    "fairseq.optim.adafactor": ("adafactor_eps",),
    "fairseq.optim.adam": ("adam_betas",),
    "fairseq.optim.adamax": ("adamax_betas",),
    "fairseq.optim.cpu_adam": ("adam_betas",),
    "fairseq.optim.fused_lamb": ("lamb_betas",),
    # eval_str_list, eval_str_dict and eval_bool
    "fairseq.utils": (
        *("adaptive_softmax_cutoff", "adaptive_input_cutoff", "decoder_attention"),
        *("xformers_att_config", "encoder_xformers_att_config", "decoder_xformers_att_config"),
        *("left_pad_source", "left_pad_target", "pipeline_balance", "pipeline_devices"),
        *("pipeline_encoder_balance", "pipeline_encoder_devices"),
        *("pipeline_decoder_balance", "pipeline_decoder_devices"),
    ),
}
# Importing them sets up logging. Whoever runs one has imported it before --user-dir.
COMMANDS = {
    "fairseq_cli.eval_lm": ("model_overrides",),
    "fairseq_cli.validate": ("model_overrides",),
}
# Of models in fairseq's examples/, which a user can add; they are checked, their eval stays.
OF_EXAMPLES = (
    *("vggblock_enc_config", "transformer_enc_config", "transformer_dec_config"),
    *("transformer_context", "transformer_sampling", "conv_dec_config", "conv_enc_config"),
)
EVALUATED = frozenset(OF_EXAMPLES).union(*READERS.values())
UNSET = ("", "???")  # never evaluated; fairseq's and OmegaConf's
# Where the task text_to_speech and the criterion sentence_ranking write to.
OUTPUTS = ("tensorboard_logdir", "save_predictions")
