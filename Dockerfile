# A server of AURAL, for the processor or an NVIDIA card: see docs/deploy.md.
FROM python:3.12-slim

# Empty: PyTorch with CUDA, which brings all that a card needs but its driver. Else the address of PyTorch's
# index of CPU-only wheels, for a much smaller image.
ARG TORCH_INDEX=""

ENV PIP_NO_CACHE_DIR=1 PYTHONUNBUFFERED=1 GRADIO_TEMP_DIR=/data
RUN useradd --create-home --uid 1000 user && mkdir /data && chown user /data

WORKDIR /app
COPY requirements.txt ./
RUN if [ -n "$TORCH_INDEX" ]; then \
        pip install --index-url "$TORCH_INDEX" $(grep -E '^torch(audio)?==' requirements.txt); \
    fi && pip install -r requirements.txt
COPY app.py LICENSE ./
COPY aural aural
COPY checkpoints checkpoints
RUN python -m compileall -q app.py aural

# The code stays root's: the app can't change it. Uploads and results lie in /data.
USER user
VOLUME /data
EXPOSE 7860
HEALTHCHECK --interval=30s --timeout=10s --start-period=120s \
    CMD ["python", "-c", "from urllib.request import urlopen; urlopen('http://127.0.0.1:7860/robots.txt', timeout=8)"]
ENTRYPOINT ["python", "app.py"]
CMD ["--host", "0.0.0.0", "--port", "7860"]
