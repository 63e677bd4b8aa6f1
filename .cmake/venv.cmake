# The Python environment that launch/setup.sh makes: FLUX_PYTHON, and FLUX_SITE_PACKAGES where the wheels lie.
set(FLUX_PYTHON ${FLUX_VENV}/bin/python)
file(GLOB FLUX_SITE_PACKAGES ${FLUX_VENV}/lib/python3.*/site-packages)
if(NOT EXISTS ${FLUX_SITE_PACKAGES}/torch/lib/libtorch_cpu.so)
  message(FATAL_ERROR "No libtorch in FLUX_VENV=${FLUX_VENV}: run launch/quickstart.sh, or set FLUX_VENV to a Python "
                      "environment with the wheels of launch/packages")
endif()
