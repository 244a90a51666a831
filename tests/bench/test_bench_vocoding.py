"""What the vocoder promises against Griffin-Lim. Not part of `make test`: a busy machine can fail it."""

from tests.bench.bench_vocoding import compare, every_method, music


def test_the_vocoder_is_faster_than_100_iterations_and_nearer_to_the_sound() -> None:
    rows = compare(music(), {name: every_method()[name] for name in ("vocoder", "Griffin-Lim 100")})

    (seconds, distance_db), (their_seconds, their_distance_db) = rows.values()
    assert seconds < their_seconds
    assert distance_db < their_distance_db
