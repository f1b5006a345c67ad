import numpy as np
import pytest

torch = pytest.importorskip("torch")

from models.nets.contrast import Pair, PairConfig  # noqa: E402
from models.nets.lips import HOPS, SHUT, LipNet, LipNetConfig, running_max  # noqa: E402
from models.train.lips import contrast  # noqa: E402
from models.train.speech import sounds  # noqa: E402

CONFIG = LipNetConfig(planes=(4, 4), channels=16, hidden=24)


@pytest.fixture(scope="module")
def net() -> LipNet:
    torch.manual_seed(0)
    return LipNet(CONFIG, 60).eval()


def test_chunks_equal_the_whole(net: LipNet) -> None:
    mel = torch.randn(2, 20 * HOPS, 80)
    with torch.no_grad():
        whole = net(mel, net.init_state(2))
        state, codes, embeddings = net.init_state(2), [], []
        for i in range(20):
            code, embedding, state = net(mel[:, i * HOPS : (i + 1) * HOPS], state)
            codes.append(code)
            embeddings.append(embedding)
    assert torch.allclose(torch.cat(codes, 1), whole[0], atol=1e-5)
    assert torch.allclose(torch.cat(embeddings, 1), whole[1], atol=1e-5)
    assert torch.allclose(state, whole[2], atol=1e-5)


def test_nothing_is_heard_before_it_is_said(net: LipNet) -> None:
    mel = torch.randn(1, 20 * HOPS, 80)
    other = mel.clone()
    other[:, 12 * HOPS :] += 1
    with torch.no_grad():
        a, b = (net(x, net.init_state(1))[0] for x in (mel, other))
    assert torch.equal(a[:, :12], b[:, :12])
    assert not torch.allclose(a[:, 12:], b[:, 12:])


def test_lips_meet_on_p_b_and_m(net: LipNet) -> None:
    assert tuple(sorted(sounds.SHUT)) == SHUT
    logits = torch.zeros(1, 3, 5, CONFIG.classes)
    logits[0, 1, 2, SHUT[0]] = 9
    logits[0, 0, :, 1] = 9
    parted = net.parted(logits)[0]
    assert parted[1] == 0
    assert parted[0] > 0.99


def test_the_running_maximum() -> None:
    x = torch.randn(3, 37)
    assert torch.equal(running_max(x), torch.cummax(x, 1)[0])


def test_the_true_offset_scores_highest() -> None:
    torch.manual_seed(1)
    audio = torch.nn.functional.normalize(torch.randn(1, 90, 16), dim=2)
    late = torch.roll(audio, 4, 1)
    best = contrast.offset_scores(audio, late)[0].argmax(1) - contrast.REACH
    assert (best == 4).all()
    windows, hits = contrast.retrieval(audio[0], audio[0], np.ones(90, bool))
    assert windows == hits == 90 - 2 * contrast.REACH - contrast.WINDOW + 1


def test_contrast_falls_as_a_pair_learns() -> None:
    torch.manual_seed(2)
    pair = Pair(PairConfig(code=6, embedding=8, hidden=16, room=8))
    code = torch.randn(8, 60, 6)
    embedding = torch.cat([code, torch.randn(8, 60, 2)], 2)
    mask = torch.ones(8, 60)
    optimiser = torch.optim.Adam(pair.parameters(), 1e-2)
    seen = []
    for _ in range(15):
        terms = contrast.info_nce(
            pair.of_audio(embedding), pair.of_lips(code), mask, pair.log_scale.exp()
        )
        loss = terms["within"] + terms["across"]
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        seen.append(loss.item())
    assert seen[-1] < 0.8 * seen[0]


def test_too_short_a_sequence_is_refused() -> None:
    with pytest.raises(ValueError, match="54 pictures, expected at least 55"):
        contrast.offset_scores(torch.zeros(1, 54, 4), torch.zeros(1, 54, 4))
