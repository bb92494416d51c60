"""A project: all that its package declares, by name."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Self

from perdure.assets.contract import Contract
from perdure.assets.feature_view import FeatureView
from perdure.assets.model import Model
from perdure.assets.source import Source
from perdure.core.errors import not_found


@dataclass(frozen=True, slots=True, eq=False)
class Project:
    """The assets of one project. Made by `surface.project` from a package, or by hand in a notebook."""

    name: str
    contracts: Mapping[str, type[Contract]] = field(default_factory=dict)
    sources: Mapping[str, Source] = field(default_factory=dict)
    views: Mapping[str, FeatureView] = field(default_factory=dict)
    models: Mapping[str, type[Model]] = field(default_factory=dict)

    @classmethod
    def of(cls, name: str, *models: type[Model]) -> Self:
        """These models with everything that they name: for a notebook, where there is no package to load."""
        views = [view for model in models for view in model.features]
        sources = [source for model in models for source in (model.rows, model.label.source)]
        sources += [view.source for view in views if view.source is not None]
        contracts = [*(model.contract for model in models), *(source.contract for source in sources)]
        return cls(
            name=name,
            contracts={contract.__name__: contract for contract in contracts},
            sources={source.name: source for source in sources},
            views={view.name: view for view in views},
            models={model.name: model for model in models},
        )

    def model(self, name: str) -> type[Model]:
        """The model of that name.

        Raises:
            NotFound: there is none; the message names the nearest.
        """
        if name not in self.models:
            raise not_found("model", name, self.models)
        return self.models[name]

    def source(self, name: str) -> Source:
        """The source of that name.

        Raises:
            NotFound: there is none; the message names the nearest.
        """
        if name not in self.sources:
            raise not_found("source", name, self.sources)
        return self.sources[name]
