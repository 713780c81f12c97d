"""Operations printed as numba and compiled code kept on disk: what ``native`` and ``snntorch`` share."""
