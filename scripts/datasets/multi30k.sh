# shellcheck shell=bash disable=SC2034
# Multi30k, task 1: 29,000 captions of pictures, one translation each (Elliott et al. 2016), with the
# literature's Transformer-tiny. multi30k/dataset has the archives.

setting SRC en "en, de or fr"
setting TGT de "another one of them"
[[ $SRC =~ ^(en|de|fr)$ && $TGT =~ ^(en|de|fr)$ && $SRC != "$TGT" ]] ||
    die "SRC and TGT must be two of en, de, fr; received '$SRC' '$TGT'. See --help."
TITLE="Multi30k $SRC-$TGT, test_2016_flickr"
default OUT "$ROOT/runs/multi30k-$SRC-$TGT"

ADDRESS=https://raw.githubusercontent.com/multi30k/dataset/master/data/task1/raw
# The sums are those of the files in multi30k/dataset as of November 2026.
PUBLISHED=(
    "test_2016_flickr.de.gz 22890 9204244e408ccb38d2a55cfcd344df15005fc42a07a6e55ca6c52b6ababb8cc8"
    "test_2016_flickr.en.gz 21077 611d361c6334bc7246101d48097c13cf5c4413c5befc793cc629934359d532d9"
    "test_2016_flickr.fr.gz 22310 6d326e188d259fb1d04ac19eae3af956559b3a0b93d7635e56c90987c40c8b90"
    "train.de.gz 637044 726e39b2fa9eb9ffb6dc763fb35a179f80fae06ffc5d28b6ace5faa883de28a6"
    "train.en.gz 568929 d79cfa999dd4c51d2cb42499b6796d5a882c3a8a961923c25a898c90f8bbd56f"
    "train.fr.gz 604242 622e75069e9f4c577425c4f277116ce66e63a2401c0a2312d90073cb12379a3c"
    "val.de.gz 24681 f0cba2f995189cf5770f29a8a9a537a3ad3f51657ad873405082ff6863a5e75a"
    "val.en.gz 21650 14f7d25ddd868909a9213e361768460edcacdd6ab9d1e77b92560dc10c10dc28"
    "val.fr.gz 23001 ca3106f1a72390591d25f6c45cb4cd39dec4cd3f123e099748a3ce5256c160e9"
)
ARCHIVES=()
for published in "${PUBLISHED[@]}"; do
    read -r name bytes sum <<<"$published"
    [[ $name == *."$SRC".gz || $name == *."$TGT".gz ]] &&
        ARCHIVES+=("$name $ADDRESS/$name $bytes sha256:$sum")
done
EXTRACT=(
    --train "train.{lang}.gz" - --valid "val.{lang}.gz" - --test "test_2016_flickr.{lang}.gz" -
)

setting LAYERS 4 "of encoder and decoder"
setting WIDTH 128 "of encoder and decoder"
setting FFN 256 "of encoder and decoder"
setting HEADS 4 "of encoder and decoder"
setting DROPOUT 0.3 ""
setting LR 0.005 ""
setting WARMUP 2000 "updates"
setting LABEL_SMOOTHING 0.1 ""
default VOCAB 3000
default MAX_UPDATE 8000
default BEAMS "1 5"
default FP16 0
ARCH=transformer
TRAINING=(
    --share-all-embeddings
    --encoder-layers "$LAYERS" --encoder-embed-dim "$WIDTH" --encoder-ffn-embed-dim "$FFN"
    --decoder-layers "$LAYERS" --decoder-embed-dim "$WIDTH" --decoder-ffn-embed-dim "$FFN"
    --encoder-attention-heads "$HEADS" --decoder-attention-heads "$HEADS" --dropout "$DROPOUT"
    --label-smoothing "$LABEL_SMOOTHING" --optimizer adam --adam-betas "(0.9, 0.98)"
    --lr "$LR" --lr-scheduler inverse_sqrt --warmup-updates "$WARMUP"
)
GENERATION=(--remove-bpe sentencepiece)

NEEDS_download="0.1 0.1 some seconds"
NEEDS_preprocess="0.1 1 a minute"
NEEDS_train="0.2 2 minutes on a GPU, an hour or more on a CPU"
NEEDS_generate="0.1 1 minutes on a CPU"
