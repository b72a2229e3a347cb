"""The family of errors: what a program sees of each."""

from __future__ import annotations

import pickle

from triune.core import errors


def test_an_error_as_an_object_names_what_where_and_how_to_mend() -> None:
    error = errors.Refused("model-unsigned", "no signature", context="delay@2", hint="Sign it.")
    assert error.as_dict() == {
        "error": "model-unsigned",
        "message": "no signature",
        "context": "delay@2",
        "hint": "Sign it.",
        "exit_code": 6,
    }


def test_every_kind_of_error_has_an_exit_code_of_its_own() -> None:
    kinds = [
        errors.TriuneError,
        errors.UsageError,
        errors.ConfigError,
        errors.MissingEngine,
        errors.NotFound,
        errors.Refused,
        errors.Unavailable,
        errors.CheckFailed,
        errors.Conflict,
    ]
    codes = [kind.exit_code for kind in kinds]
    assert len(set(codes)) == len(codes)
    assert errors.ExitCode.OK not in codes


def test_a_config_error_carries_every_problem() -> None:
    problems = [errors.Problem("triune.toml", key, "unknown key", "Remove it.") for key in "ab"]
    error = errors.ConfigError(problems)
    assert error.message == "2 problems in the configuration"
    assert [p["key"] for p in error.as_dict()["problems"]] == ["a", "b"]


def test_errors_pickle_whole() -> None:
    refused = errors.Refused("model-unsigned", "no signature", context="delay@2", hint="Sign it.")
    config = errors.ConfigError([errors.Problem("triune.toml", "a", "unknown key", "Remove it.")])
    for error in (refused, config):
        again = pickle.loads(pickle.dumps(error))
        assert type(again) is type(error)
        assert str(again) == str(error)
        assert again.as_dict() == error.as_dict()
